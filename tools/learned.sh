#!/usr/bin/env bash
# Learned networks on a GPU that is lent for minutes: those that ship first, then what docs/learned.md shows.
#
#     PHOTOGRAPHS=imagenette/train VAL=imagenette/val tools/learned.sh OUT [PART...]
#
# From a checkout, with the PyTorch that is there; PYTHON names another interpreter, STEPS how many steps of 64 what ships
# is trained for (4250, a minute on an H200), POINT the minutes of a point of the frontier (0.5). Every network goes to
# OUT, in half precision, as soon as it is done, with its metrics beside it; one that is there already is left alone, so
# that the same command goes on after an interruption. Without PARTs all of them run: ship, rate, frontier.
set -u

if [ $# -eq 0 ] || [ -z "$1" ] || [ -z "${PHOTOGRAPHS:-}" ] || [ -z "${VAL:-}" ]; then
    echo "give photographs and a folder: PHOTOGRAPHS=... VAL=... tools/learned.sh OUT [PART...]" >&2
    exit 2
fi
out=$(realpath -m "$1")
photographs=$(realpath "$PHOTOGRAPHS") || exit 2
val=$(realpath "$VAL") || exit 2
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(ship rate frontier)

cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=src PYTHONUNBUFFERED=1
steps=${STEPS:-4250} point=${POINT:-0.5} width=${WIDTH:-64}
mkdir -p "$out"
runs=$(mktemp -d)
trap 'rm -r "$runs"' EXIT
failed=0

# prepared NAME SOURCE: a store of the photographs, or what is one already.
prepared() {
    if [ -f "$2/manifest.json" ]; then
        echo "$2"
        return
    fi
    [ -d "$runs/$1" ] || "$python" -m maxtunnel prepare "$2" "$runs/$1" --size 128 >"$out/prepare-$1.txt" 2>&1
    echo "$runs/$1"
}

# made NAME PHASE ARCH OPTION...: one network, its file in OUT.
made() {
    local name=$1 phase=$2 began=$SECONDS
    shift 2
    [ ! -f "$out/$name.safetensors" ] || return 0
    rm -rf "${runs:?}/$name"
    if "$python" -m maxtunnel "$phase" "$@" --data "$train" --val "$held_out" --out "$runs/$name" >"$out/$name.txt" 2>&1
    then
        cp "$runs/$name/metrics.csv" "$out/$name.csv"
        "$python" -c "import sys, maxtunnel
maxtunnel.load(sys.argv[1]).save(sys.argv[2], half=True)" "$runs/$name/model.safetensors" "$out/$name.safetensors"
        echo "$name: $(grep -aE '^(RMSE|Top)' "$out/$name.txt" | tail -n 1), $((SECONDS - began)) s" | tee -a "$out/reached.txt"
    else
        failed=1
        echo "$name: failed, $(tail -n 1 "$out/$name.txt")" | tee -a "$out/reached.txt"
    fi
}

learned() {
    local name=$1 architecture=$2
    shift 2
    made "$name" train "$architecture" --encoder learned --decoder strong --width "$width" "$@"
}

# Under 0.5 bits, then at two budgets of Table II.
part_ship() {
    learned 8-8-8-learned 8-8-8+linear+inside64 --steps "$steps"
    learned 16-16-16-learned 16-16-16+linear+inside64 --steps "$steps"
    learned 2-2-2-learned 2-2-2+linear+inside64 --steps "$steps"
    # What each change brings, one by one.
    learned 8-8-8-published 8-8-8 --minutes "$point"
    learned 8-8-8-linear 8-8-8+linear --minutes "$point"
    learned 8-8-8-inside 8-8-8+inside64 --minutes "$point"
    learned 8-8-8-both 8-8-8+linear+inside64 --minutes "$point"
}

# Stored bits against error: the same network, with a bit worth more and more.
part_rate() {
    for weight in 0.0003 0.001 0.003 0.006; do
        learned "8-8-8-rate-$weight" 8-8-8+inside64 --rate-weight "$weight" --minutes "$point"
        learned "16-16-16-rate-$weight" 16-16-16+inside64 --rate-weight "$weight" --minutes "$point"
    done
}

# {random, pretrained, learned} x {mirrored, strong}, from 0.22 to 14 bits.
part_frontier() {
    local n architecture
    for n in 8 2 16 64 1 4 32; do
        architecture=$n-$n-$n
        made "$architecture-encoder" pretrain "$architecture" --minutes "$point"
        for reader in strong mirrored; do
            options=(--decoder "$reader" --width "$width" --minutes "$point")
            made "$architecture-random-$reader" train "$architecture" "${options[@]}"
            made "$architecture-learned-$reader" train "$architecture" --encoder learned "${options[@]}"
            made "$architecture-pretrained-$reader" train "$architecture" \
                --encoder "$out/$architecture-encoder.safetensors" "${options[@]}"
        done
    done
}

train=$(prepared train "$photographs")
held_out=$(prepared val "$val")
for part in "${parts[@]}"; do
    case $part in
        ship | rate | frontier) "part_$part" ;;
        *) echo "$part is no part: expected ship, rate or frontier" >&2; exit 2 ;;
    esac
done
exit $failed
