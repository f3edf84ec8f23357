"""Draw the demo photos again."""

from pathlib import Path

from PIL import Image

from studio.demo.drawing import bottle, mug

PHOTOS = Path(__file__).parents[1] / "photos"


def main() -> None:
    for name, draw in (("fig-and-cedar", bottle.draw), ("harbour-mug", mug.draw)):
        Image.fromarray(draw()).save(PHOTOS / f"{name}.jpg", quality=93, subsampling=0, optimize=True)
        print(PHOTOS / f"{name}.jpg")


if __name__ == "__main__":
    main()
