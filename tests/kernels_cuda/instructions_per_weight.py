"""Counts machine instructions a weight of the NVFP4 product, without a device.

The probe is compiled with few and with more tiles; the difference of the .text sizes, over 16 bytes an
instruction and the weights of a lane, is what one more weight costs. Usage:
    instructions_per_weight.py NVCC SOURCE_DIR TARGET LIMIT_OF_ONE LIMIT_OF_EIGHT
for one row of x and for up to eight.
"""

import pathlib
import subprocess
import sys
import tempfile

WEIGHTS_OF_A_LANE = 32 * 128 // 32
FEW, MORE = 4, 12


def text_bytes(cubin):
    """Size of the kernel's .text section; a cubin is an ELF file."""
    sections = subprocess.run(["readelf", "-SW", str(cubin)], check=True, capture_output=True, text=True).stdout
    sizes = [int(line.split("]")[1].split()[4], 16) for line in sections.splitlines() if " .text." in line]
    if len(sizes) != 1:
        raise SystemExit(f"wanted one .text section in {cubin}, found {len(sizes)}")
    return sizes[0]


def instructions(nvcc, source, target, rows):
    """What one more weight costs a lane; ends the program if the probe spills."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for tiles in (FEW, MORE):
            cubin = pathlib.Path(folder) / f"{tiles}.cubin"
            done = subprocess.run(
                [nvcc, "-std=c++20", "-O3", "-I", str(source / "src"), f"-DNVLLM_TILES={tiles}", f"-DNVLLM_ROWS={rows}", "-cubin",
                 "-Xptxas", "-v", "-gencode", f"arch=compute_{target},code=sm_{target}",
                 str(source / "tests/kernels_cuda/tile_product_probe.cu"), "-o", str(cubin)],
                check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            if "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" not in done.stderr:
                raise SystemExit(f"the probe spills or has a stack frame:\n{done.stderr}")
            sizes[tiles] = text_bytes(cubin)
    return (sizes[MORE] - sizes[FEW]) / 16 / (MORE - FEW) / WEIGHTS_OF_A_LANE


def main():
    nvcc, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    kept = True
    for rows, limit in zip((1, 8), map(float, sys.argv[4:6]), strict=True):
        each = instructions(nvcc, source, target, rows)
        print(f"sm_{target}, {rows} row{'s' if rows > 1 else ''}: {each:.2f} instructions a weight, limit {limit}")
        kept = kept and each <= limit
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
