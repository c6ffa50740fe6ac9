"""Native code under a sanitizer: `python tests/tools/check_bounds.py 20000` attacks the codec 20,000 times.

The suite runs the same programs for some seconds.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = (
    # Better code would take longer to compile than it saves in the suite.
    "-O0",
    "-march=native",
    "-std=c++17",
    "-fopenmp",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


def has_sanitizer(folder: Path) -> bool:
    """Whether there is a compiler here that builds programs with these flags, and whether they run."""
    empty, program = folder / "empty.cpp", folder / "empty"
    empty.write_text("int main() { return 0; }\n")
    try:
        return (
            _compile(empty, program).returncode == 0
            and subprocess.run([program], check=False).returncode == 0
        )
    except OSError:
        return False


def build(name: str, folder: Path) -> Path:
    """The program tests/native/NAME.cpp, which includes a source of the package.

    Raises:
        RuntimeError: it does not compile.
    """
    program = folder / name
    done = _compile(ROOT / "tests" / "native" / f"{name}.cpp", program)
    if done.returncode:
        raise RuntimeError(f"{name}.cpp does not compile: {done.stderr[:2000]}")
    return program


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program; its status is not 0 where memory was left."""
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _compile(source: Path, program: Path) -> subprocess.CompletedProcess[str]:
    include = f"-I{ROOT / 'src' / 'maxtunnel' / 'native'}"
    command = ["c++", *FLAGS, include, str(source), "-o", str(program)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> None:
    rounds = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        program = build("codec_bounds", Path(folder))
        for seed in range(0, -(-rounds // 1000)):
            done = run(program, min(1000, rounds - 1000 * seed), seed)
            if done.returncode:
                raise SystemExit(f"seed {seed}: {done.stdout}{done.stderr[:4000]}")
            print(
                f"{min(rounds, 1000 * (seed + 1)):,} levels of either coding: memory was never left",
                flush=True,
            )


if __name__ == "__main__":
    main()
