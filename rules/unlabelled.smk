"""Figures of part 1 for images without labels, and what the page shows of them."""


rule plot_unlabelled:
    input:
        data=packed(DATASET),
        histories=all_seeds(rules.pretrain_simclr.output.history),
        points=filled(rules.map_features.output.map, encoder="simclr", seed=SEEDS[0]),
        neighbours=filled(rules.find_nearest_images.output.neighbours, encoder="simclr", seed=SEEDS[0]),
    output:
        loss="results/figures/unlabelled_loss.svg",
        image_map="results/figures/unlabelled_map.svg",
        nearest_images=two_widths("results/figures/unlabelled_nearest.svg"),
    log:
        "<logs>/figures/unlabelled.log",
    benchmark:
        "<benchmarks>/figures/unlabelled.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("plot_unlabelled.py"),
    message:
        "Figures: images without labels"
    script:
        "../workflow/scripts/plot_unlabelled.py"


UNLABELLED = {
    "dataset": data_of("self_supervision"),
    "simclr": all_seeds(rules.pretrain_simclr.output.metrics),
    "features": all_seeds(rules.encode_images.output.metrics, encoder="simclr"),
    "nearest": all_seeds(rules.find_nearest_images.output.metrics, encoder="simclr"),
    "maps": [filled(rules.map_features.output.metrics, encoder="simclr", seed=SEEDS[0])],
    "figures": figures(rules.plot_unlabelled),
    "checked": checked_of("self_supervision"),
}
