"""The page's form: on a desk and on a phone, light and dark, on paper, for everyone, and without scripts."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from report_visit import Visit

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SIZE = 15e6  # bytes of the page without its films
SECTIONS = ("header", "#self-supervision", "#grid", "#reconstruction", "#provenance")


PATIENCE = 60_000  # milliseconds, on a busy machine


def draw_everything(page: Page) -> None:
    """Scroll to every figure: curves are drawn when they come near."""
    for figure in page.locator("figure:has(> .chart)").all():
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_class("charted", timeout=PATIENCE)


def curves(visit: Visit, words: str) -> Locator:
    """The figure of curves whose caption has these words, drawn."""
    figure = visit.page.locator("figure:has(> .chart)").filter(has_text=words)
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_class("charted", timeout=PATIENCE)
    return figure


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_and_screenshots_are_kept(
    visit: Visit, screenshots: Path, size: dict, scheme: str
) -> None:
    visit.page.set_viewport_size(size)
    visit.page.emulate_media(color_scheme=scheme)
    draw_everything(visit.page)
    for section in SECTIONS:
        name = f"{section.removeprefix('#')}-{'phone' if size is PHONE else 'desk'}-{scheme}.png"
        visit.page.locator(section).first.screenshot(path=screenshots / name)
    found = Axe().run(visit.page).response["violations"]
    serious = {
        each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")
    }
    assert serious == {}
    assert visit.messages == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_text_is_tiny(visit: Visit, size: dict) -> None:
    visit.page.set_viewport_size(size)
    smallest = """[...document.querySelectorAll('main svg text, main td, main th, main p, main dd')]
        .filter(text => text.checkVisibility() && text.textContent.trim())
        .map(text => [text.ownerSVGElement
            ? parseFloat(getComputedStyle(text).fontSize) * (text.getScreenCTM()?.a || 9)
            : parseFloat(getComputedStyle(text).fontSize), text.textContent.slice(0, 40)])
        .sort((one, other) => one[0] - other[0])[0]"""
    pixels, text = visit.page.evaluate(smallest)
    assert pixels >= 7, text


def test_a_wide_table_uses_the_margin_and_is_not_cut(visit: Visit) -> None:
    visit.page.set_viewport_size(DESK)
    cut = "[...document.querySelectorAll('.wide')].filter(wide => wide.scrollWidth > wide.clientWidth + 1)"
    assert visit.page.evaluate(f"{cut}.map(wide => wide.textContent.slice(0, 60))") == []


def test_on_a_phone_each_row_of_a_wide_table_is_a_list(visit: Visit) -> None:
    visit.page.set_viewport_size(PHONE)
    table = visit.page.get_by_role("table", name=re.compile(r"Top-1 error .* on CIFAR-100, test images"))
    cells = table.get_by_role("row").filter(has_text="ResNet18").get_by_role("cell")
    tops = [cell.evaluate("cell => cell.getBoundingClientRect().top") for cell in cells.all()]
    assert len(tops) == 4 and tops == sorted(set(tops))
    title = "cell => getComputedStyle(cell, '::before').content"
    assert cells.nth(3).evaluate(title) == '"CutMix"'
    cut = "[...document.querySelectorAll('.wide')].filter(wide => wide.scrollWidth > wide.clientWidth + 1)"
    assert visit.page.evaluate(f"{cut}.map(wide => wide.textContent.slice(0, 60))") == []


def test_curves_show_their_values_beside_the_published_ones(visit: Visit) -> None:
    figure = curves(visit, "ViT: training and validation curves")
    plot = figure.locator(".nsewdrag").nth(2)
    plot.scroll_into_view_if_needed()
    plot.hover(position={"x": 16, "y": 60})  # epoch 10 of 200
    values = figure.locator(".hoverlayer .legendtext")
    expect(values.filter(has_text="this run :")).to_have_count(1)
    assert [text.split(" : ")[0] for text in values.all_text_contents()] == [
        "published",
        *(f"this run, {seed} of 3" for seed in (1, 2, 3)),
        "this run",
    ]
    expect(figure.locator(".hoverlayer text").filter(has_text="epoch")).to_have_count(1)


def test_curves_can_be_logarithmic(visit: Visit) -> None:
    figure = curves(visit, "The contrastive loss")
    button = figure.get_by_role("button", name="logarithmic")
    scale = "figure => figure.querySelector('.js-plotly-plot').layout.yaxis.type"
    assert figure.evaluate(scale) == "linear"
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert figure.evaluate(scale) == "log"
    button.click()
    assert figure.evaluate(scale) == "linear"


def test_logarithmic_panels_share_their_range_and_name_whole_values(visit: Visit) -> None:
    figure = curves(visit, "Validation top-1 error (%) of every cell")
    figure.get_by_role("button", name="logarithmic").click()
    axes = "figure => [...figure.querySelectorAll('.js-plotly-plot')].map(plot => plot.layout.yaxis)"
    panels = figure.evaluate(axes)
    assert len(panels) > 1 and all(panel["range"] == panels[0]["range"] for panel in panels)
    assert panels[0]["ticktext"] == ["30", "50", "70"] == [f"{value:g}" for value in panels[0]["tickvals"]]


def test_on_a_logarithmic_scale_zero_stands_at_the_lower_edge(visit: Visit) -> None:
    panel = "{ y: { range: [0, 100] }, lines: [{ y: [0, 2, null, 90] }] }"
    [scale] = visit.page.evaluate(f"logarithmic([{panel}])")
    low, high = (10**end for end in scale["range"])
    assert low < scale["floor"] < 2 and high > 90
    assert scale["ticks"][0] == [scale["floor"], "0"]
    assert [text for _, text in scale["ticks"]] == ["0", "2", "5", "10", "20", "50", "100"]


def test_a_wide_table_fits_or_shows_that_it_scrolls(visit: Visit) -> None:
    table = visit.page.get_by_role("region", name="Training cost of one seed")
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert "local" in table.evaluate("box => getComputedStyle(box).backgroundAttachment")


def test_the_cameras_turn_by_mouse_and_keys(visit: Visit) -> None:
    figure = curves(visit, "Cameras, their directions of view")
    canvas = figure.locator("canvas")
    seen = [canvas.screenshot()]
    canvas.focus()
    canvas.press("ArrowLeft")
    seen.append(canvas.screenshot())
    box = canvas.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + 50, box["y"] + 50)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 120, box["y"] + 80, steps=3)
    visit.page.mouse.up()
    seen.append(canvas.screenshot())
    figure.get_by_role("button", name="closer").click()
    seen.append(canvas.screenshot())
    assert len(set(seen)) == 4


def test_without_scripts_the_figures_stay(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport=PHONE, java_script_enabled=False)
    page.goto(address)
    for figure in page.locator("figure:has(> .chart)").all():
        expect(figure.locator("svg").locator("visible=true").first).to_be_visible()
    page.close()


def test_on_paper_the_figures_are_drawings(visit: Visit) -> None:
    figure = curves(visit, "ViT: training and validation curves")
    visit.page.emulate_media(media="print")
    expect(figure.locator(".wide-form")).to_be_visible()
    expect(figure.locator(".charts")).to_be_hidden()


def test_the_page_is_small_and_soon_ready(browser: Browser, address: str) -> None:
    content = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    films = sum(len(part.split('"')[0]) for part in content.split('src="data:video')[1:])
    assert len(content.encode()) - films < SIZE
    page = browser.new_page(viewport=DESK)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.goto(address, wait_until="domcontentloaded")
    page.evaluate("document.querySelector('.choice input:not(:checked)').click()")
    expect(page.locator(".view").first).to_be_visible()
    spent = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    page.close()
    assert spent["ProcessTime"] < 2  # seconds of the processor, however busy the machine is
