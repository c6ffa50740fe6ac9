#!/usr/bin/env bash
# Everything worth doing on a GPU that is lent for minutes, what matters most first.
#
#     tools/gpu.sh OUT [PART...]
#
# From a checkout, with the PyTorch that is there; PYTHON names another interpreter, PHOTOGRAPHS the folder or tar to
# train on. Every part writes to OUT as
# it goes on, and one that fails or takes too long ends alone. Without PARTs all of them run, in under 8 minutes:
# tests, bench, training.
set -u

if [ $# -eq 0 ] || [ -z "$1" ]; then
    echo "give a folder for the results: tools/gpu.sh OUT [PART...]" >&2
    exit 2
fi
out=$(realpath -m "$1")
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tests bench training)

cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=src PYTHONUNBUFFERED=1
mkdir -p "$out"
failed=0

# within SECONDS NAME COMMAND...: what it prints goes to OUT/NAME.txt, how it ended to OUT/parts.txt.
within() {
    local limit=$1 name=$2 began=$SECONDS status=0
    shift 2
    timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$name.txt" 2>&1 || status=$?
    [ $status -eq 0 ] || failed=1
    echo "$name: status $status, $((SECONDS - began)) s" | tee -a "$out/parts.txt"
    tail -n 3 "$out/$name.txt"
}

machine() {
    nvidia-smi || true
    "$python" -c 'import platform, torch; print(platform.python_version(), torch.__version__)
print(torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory)'
}

part_tests() {
    within 110 tests "$python" -m pytest -m gpu tests --tb=short --durations=15 -p no:cacheprovider
}

part_bench() {
    within 130 bench "$python" -m maxtunnel bench --models 8-8-8,24-48-96,64-64-64 --batches 16,256 --repeats 3 \
        --json "$out/card.json" --markdown "$out/card.md" --csv "$out/card.csv"
}

# Decoders for the encoders that ship, the strong ones first: weights go to OUT/training, in half precision.
part_training() {
    mkdir -p "$out/training"
    if [ -z "${PHOTOGRAPHS:-}" ]; then
        echo "training: left out, as PHOTOGRAPHS names none" | tee -a "$out/parts.txt"
        return
    fi
    runs=$(mktemp -d)
    within 60 prepare "$python" -m maxtunnel prepare "$PHOTOGRAPHS" "$runs/store" --size 128
    for model in 8-8-8 16-16-16 24-48-96 64-64-64; do
        train "$model" "$model-strong" --decoder strong --width 112 --minutes 0.5
    done
    for model in 8-8-8 6-12-24 16-16-16 12-24-48 32-32-32 24-48-96 64-64-64 48-96-192; do
        train "$model" "$model" --minutes 0.15
    done
    rm -r "$runs"
}

# train MODEL NAME OPTION...: a decoder for the switches of MODEL.
train() {
    local model=$1 name=$2
    shift 2
    within 75 "train-$name" "$python" -m maxtunnel train "$model" --encoder "$model" --data "$runs/store" --out "$runs/$name" "$@"
    [ ! -f "$runs/$name/model.safetensors" ] || "$python" -c "import sys, maxtunnel
maxtunnel.load(sys.argv[1]).save(sys.argv[2], half=True)" "$runs/$name/model.safetensors" "$out/training/$name.safetensors"
    cp "$runs/$name/metrics.csv" "$out/training/$name.csv" 2>/dev/null || true
}

machine >"$out/machine.txt" 2>&1 || failed=1
cat "$out/machine.txt"
for part in "${parts[@]}"; do
    case $part in
        tests | bench | training) "part_$part" ;;
        *) echo "$part is no part: expected tests, bench or training" >&2; exit 2 ;;
    esac
done
exit $failed
