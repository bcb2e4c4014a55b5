"""The page in a real browser: offline, without errors, usable by mouse, by keys and on a phone."""

import re

import pytest
from playwright.sync_api import Page, expect
from report_visit import Visit


def test_it_opens_without_messages_and_requests(visit: Visit) -> None:
    visit.page.wait_for_load_state("networkidle")
    assert visit.messages == []
    assert [url for url in visit.requests if not url.startswith("data:")] == [visit.address]
    broken = "[...document.images].filter(image => image.offsetParent && !image.naturalWidth).length"
    assert visit.page.evaluate(broken) == 0


def test_the_tables_show_the_values(visit: Visit) -> None:
    table = visit.page.get_by_role("table", name=re.compile(r"Top-1 error .* on CIFAR-100, test images"))
    row = table.get_by_role("row").filter(has_text="ResNet18")
    assert [text.split("\n") for text in row.get_by_role("cell").all_inner_texts()] == [
        ["27.08 ± 0.22", "published 26.01"],
        ["26.48 ± 0.22", "published 25.73"],
        ["27.98 ± 0.22", "published 26.99"],
        ["24.68 ± 0.22 †", "published 24.57"],
    ]


def test_a_number_opens_the_provenance_of_its_runs(visit: Visit) -> None:
    details = visit.page.locator('[id="from-grid.resnet18-cutmix"] details')
    assert [entry.get_attribute("open") for entry in details.all()] == [None] * 3
    visit.page.get_by_role("link", name="24.68 ± 0.22 †").click()
    expect(details.first.get_by_text("learning_rate: 0.1")).to_be_visible()
    assert [entry.get_attribute("open") for entry in details.all()] == [""] * 3
    expect(details.first).to_be_in_viewport()


def test_details_open_by_a_click(visit: Visit) -> None:
    part = visit.page.locator(".origins").first
    details = part.locator("details").first
    expect(details).to_be_hidden()
    part.locator("summary").first.click()
    expect(details.get_by_text("Versions")).to_be_hidden()
    details.locator("summary").click()
    expect(details.get_by_text("Versions")).to_be_visible()


def split_of(page: Page) -> float:
    return float(
        page.evaluate(
            """() => {
                const compare = document.querySelector('.view:not([hidden]) .compare');
                const inset = getComputedStyle(compare.querySelector('.above')).clipPath;
                return parseFloat(inset.match(/inset\\(0px 0px 0px ([\\d.]+)%\\)/)[1]);
            }"""
        )
    )


def test_the_comparison_moves_with_the_keys(visit: Visit) -> None:
    slider = visit.page.get_by_role("slider").first
    assert split_of(visit.page) == 50
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    assert split_of(visit.page) == 55
    slider.press("Home")
    assert split_of(visit.page) == 0
    assert slider.get_attribute("aria-valuetext") == "0 % truth, the rest rendered"


def test_the_comparison_moves_with_the_mouse(visit: Visit) -> None:
    slider = visit.page.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 3, steps=4)
    visit.page.mouse.up()
    assert split_of(visit.page) == pytest.approx(80, abs=2)


def test_the_median_view_is_shown_first_and_another_can_be_chosen(visit: Visit) -> None:
    worst, median, _ = visit.page.locator(".view").all()
    expect(median).to_be_visible()
    expect(worst).to_be_hidden()
    visit.page.get_by_text("frame 0000", exact=True).click()
    expect(median).to_be_hidden()
    expect(worst).to_be_visible()
    visit.page.keyboard.press("ArrowRight")
    expect(median).to_be_visible()


def test_the_fly_through_plays(visit: Visit) -> None:
    film = visit.page.locator("video")
    facts = film.evaluate("film => [film.videoWidth, film.videoHeight, film.duration, film.loop, film.muted]")
    assert facts == [320, 240, pytest.approx(3.0, abs=0.1), True, True]
    playing = """film => new Promise((resolve, reject) => {
        film.ontimeupdate = () => film.currentTime > 0.3 && resolve(film.currentTime);
        setTimeout(() => reject(new Error("still at " + film.currentTime)), 15000);
        film.play();
    })"""
    assert film.evaluate(playing) > 0.3
    assert visit.messages == []


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_it_never_scrolls_sideways(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 844})
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    # Nothing is cut off either: what is wider than the page scrolls by itself.
    wide = """[...document.querySelectorAll('main *, header *')].filter(element =>
        element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.wide, .skip')).length"""
    assert visit.page.evaluate(wide) == 0


def test_it_follows_the_colour_scheme(visit: Visit) -> None:
    colours = "[document.body, document.querySelector('figure svg text')].map(e => getComputedStyle(e))"
    shown = f"{colours}.map((style, i) => i ? style.fill : style.backgroundColor)"
    light = visit.page.evaluate(shown)
    visit.page.emulate_media(color_scheme="dark")
    dark = visit.page.evaluate(shown)
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_on_paper_everything_is_unfolded(visit: Visit) -> None:
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(visit.page.locator("details").last.get_by_text("Versions")).to_be_visible()
    for view in visit.page.locator(".view").all():
        expect(view).to_be_visible()
