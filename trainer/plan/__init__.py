"""Before a run: what it needs and how long it takes on how many devices, and how it fares when they fail. Torch-free.

`python -m trainer plan RECIPE --gpus 4096 --gpu h200`. Main path: `command` -> `choose` (which mesh) -> `timing` and
`memory`, over the counts of `engine.costs`; `devices` holds what is known of devices and published runs
(`published.json`, each figure with its source), `simulate` failures.
"""
