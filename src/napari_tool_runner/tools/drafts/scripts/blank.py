"""Multiply an image by a factor: a beginning, to be changed."""

import argparse

import numpy as np
import tifffile

parser = argparse.ArgumentParser(description="Multiply an image by a factor.")
parser.add_argument("--input", required=True, help="The image to read.")
parser.add_argument("--factor", type=float, default=2.0, help="What each pixel is multiplied by.")
parser.add_argument("--output", required=True, help="Where the result is written (.tif).")
options = parser.parse_args()

image = tifffile.imread(options.input)
result = image.astype(np.float32) * options.factor
tifffile.imwrite(options.output, result)
print(f"multiplied {image.shape} by {options.factor:g}")
