#!/usr/bin/env bash
# Everything worth doing on a GPU that is lent for minutes, what matters most first.
#
#     tools/gpu.sh OUT [PART...]
#
# From a checkout, with the PyTorch that is there. PYTHON names another interpreter, PHOTOGRAPHS what to train on and
# VAL what to measure on (folders or tars), ROWS rows of Table II, STEPS and MINUTES of a training, SECONDS_IN_ALL the
# end of all. Parts are tests, bench, rows (decoders of Table II's fourteen encoders, the paper's) and strong (strong
# ones); without PARTs all of them run, in under 8 minutes. Every part writes to OUT as it goes on, and one that
# fails or takes too long ends alone. OUT comes to at most 8 files of at most 16 MiB.
set -u

if [ $# -eq 0 ] || [ -z "$1" ]; then
    echo "give a folder for the results: tools/gpu.sh OUT [PART...]" >&2
    exit 2
fi
out=$(realpath -m "$1")
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tests bench rows strong)

cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=src PYTHONUNBUFFERED=1
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
ends=${SECONDS_IN_ALL:-470}

# within SECONDS NAME FILE COMMAND...: what it prints goes to OUT/FILE.txt, how it ended to OUT/parts.txt.
within() {
    local limit=$1 name=$2 file=$3 began=$SECONDS status=0
    shift 3
    [ "$limit" -le $((ends - SECONDS)) ] || limit=$((ends - SECONDS))
    if [ "$limit" -lt 5 ]; then
        echo "$name: left out, no time" | tee -a "$out/parts.txt"
        failed=1
        return
    fi
    timeout --signal=INT --kill-after=10 "$limit" "$@" >>"$out/$file.txt" 2>&1 || status=$?
    [ $status -eq 0 ] || failed=1
    echo "$name: status $status, $((SECONDS - began)) s" | tee -a "$out/parts.txt"
    tail -n 3 "$out/$file.txt"
}

machine() {
    nvidia-smi || true
    "$python" -c 'import platform, torch; print(platform.python_version(), torch.__version__)
print(torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory)'
}

part_tests() {
    within 100 tests tests "$python" -m pytest -m gpu tests --tb=short --durations=15 -p no:cacheprovider
}

part_bench() {
    within 115 bench bench "$python" -m maxtunnel bench --models 8-8-8,24-48-96,64-64-64 --batches 16,256 --repeats 3 \
        --json "$out/card.json" --markdown "$work/card.md"
    cat "$work/card.md" >>"$out/bench.txt" 2>/dev/null || true
}

# prepared: whether there are photographs; the store is made once.
prepared() {
    if [ -z "${PHOTOGRAPHS:-}" ]; then
        echo "$1: left out, as PHOTOGRAPHS names none" | tee -a "$out/parts.txt"
        return 1
    fi
    if [ ! -e "$work/asked" ]; then
        touch "$work/asked"
        within 60 prepare training "$python" -m maxtunnel prepare "$PHOTOGRAPHS" "$work/store" --size "${SIZE:-128}"
        measured=()
        if [ -n "${VAL:-}" ]; then
            within 30 prepare-val training "$python" -m maxtunnel prepare "$VAL" "$work/val" --size "${SIZE:-128}"
            measured=(--val "$work/val")
        fi
    fi
}

part_rows() {
    prepared rows || return
    within 180 rows training "$python" tools/train_rows.py "$work/store" "$out" ${measured[@]+"${measured[@]}"} \
        ${ROWS+--rows "$ROWS"} --steps "${STEPS:-6000}" --strong ""
}

part_strong() {
    prepared strong || return
    within 150 strong training "$python" tools/train_rows.py "$work/store" "$out" ${measured[@]+"${measured[@]}"} \
        --rows "" ${ROWS+--strong "$ROWS"} --minutes "${MINUTES:-0.3}" --width "${WIDTH:-112}"
}

machine >>"$out/parts.txt" 2>&1 || failed=1
cat "$out/parts.txt"
for part in "${parts[@]}"; do
    case $part in
        tests | bench | rows | strong) "part_$part" ;;
        *) echo "$part is no part: expected tests, bench, rows or strong" >&2; exit 2 ;;
    esac
done
exit $failed
