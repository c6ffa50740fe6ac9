"""Folders of small faces for tests: noise that is each person's own, lit from one side or another."""

import numpy as np
from PIL import Image

LIGHTS = ("+000E+00", "+050E+00", "-050E+00", "+000E+45", "+020E-10")


def write_faces(folder, people=6, lit=True):
    """PGM files in a folder for each person, where `lit` named as in Extended Yale B, beside other files."""
    values = np.random.default_rng(0)
    across = np.linspace(-1, 1, 20)
    for person in range(1, people + 1):
        name = f"yaleB{person:02d}"
        (folder / name).mkdir(parents=True)
        face = values.uniform(0.2, 0.8, (24, 20))
        for number, light in enumerate(LIGHTS):
            shade = 1 + 0.6 * across * np.sign(int(light[:4])) - 0.1 * number
            pixels = (255 * np.clip(face * shade, 0, 1)).astype(np.uint8)
            file = f"{name}_P00A{light}.pgm" if lit else f"{number}.pgm"
            Image.fromarray(pixels).save(folder / name / file)
        if lit:
            Image.new("L", (20, 24)).save(folder / name / f"{name}_P00_Ambient.pgm")
            (folder / name / f"{name}_P00.info").write_text("a list")
            (folder / name / f"{name}_P00A+095E+00.pgm.bad").write_bytes(b"P5\n20 24\n255\n")
    return folder
