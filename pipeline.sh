#!/usr/bin/env bash
# From datasets to a training set: statistics, scores, duplicates, one merged dataset, a train / validation split.
#
# usage: pipeline.sh DATASET [DATASET ...] [--output FOLDER] [--reports FOLDER] [scorer options]
#
#   --output FOLDER    the merged dataset (default: full_dataset)
#   --reports FOLDER   where train_set.json, valid_set.json, the statistics and the HTML pages go
#                      (default: the folder that holds the merged dataset)
#   scorer options     whatever else follows goes to aesthetic_scorer.py: --model tiny, --device cuda, --head laion-v2
#
# Prints each command before it runs it, and stops at the first that fails, with its status. What is done is not done
# again: after a stop, a crash or new images, run the same command. Python is $PYTHON, or .venv/bin/python beside this
# script, or python3.
#
#   ./pipeline.sh DataSet_1 DataSet_2 --output full_dataset
#   ./pipeline.sh ~/photos/* --output /data/full_dataset --reports /data/reports --batch-size 256

set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
python=${PYTHON:-$here/.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python3

main() {
    parse "$@"
    mkdir -p -- "$reports"

    step dataset_stats.py "${datasets[@]}" --output "$reports/datasets_image_statistics.json" --html "$reports/dataset_stats.html"
    step aesthetic_scorer.py "${datasets[@]}" ${scorer[@]+"${scorer[@]}"}
    step aesthetic_stats.py "${datasets[@]}" --output "$reports/aesthetic_stats.json" --html "$reports/aesthetic_stats.html"
    step find_duplicates.py "${datasets[@]}"
    step duplicates_stats.py "${datasets[@]}"
    step merge_clusters.py "${datasets[@]}" --output "$output"
    step find_duplicates.py "$output" --variants --across # of one picture, wherever it lies
    step split_data.py "$output" --exclude-duplicates --output-dir "$reports"

    printf '\n🏁 %s\n' "merged dataset   $output"
    printf '   %s\n' \
        "training set     $reports/train_set.json" "validation set   $reports/valid_set.json" \
        "pages to open    $reports/dataset_stats.html" "                 $reports/aesthetic_stats.html" \
        "numbers          $reports/datasets_image_statistics.json" "                 $reports/aesthetic_stats.json"
}

parse() {
    datasets=() scorer=() output=full_dataset reports=
    while (($#)); do
        case $1 in
        -h | --help) usage && exit ;;
        --output | --reports)
            (($# > 1)) || fail "$1 wants a folder"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        --output=* | --reports=*) printf -v "$(cut -d= -f1 <<<"${1#--}")" %s "${1#*=}" ;;
        -*) scorer+=("$1") ;;
        *) if ((${#scorer[@]})); then scorer+=("$1"); else datasets+=("$1"); fi ;;
        esac
        shift
    done
    ((${#datasets[@]})) || fail "no dataset given; --help shows how"
    reports=${reports:-$(dirname -- "$output")}
}

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$here/pipeline.sh"; }

fail() {
    printf 'pipeline.sh: error: %s\n' "$1" >&2
    exit 2
}

# Run one script of the suite. It runs in the background so that a signal reaches it at once, not when it is done.
step() {
    local status=0
    printf '\n$%s\n' "$(printf ' %q' "$python" "$here/$1" "${@:2}")" >&2 # %q: ready to paste
    "$python" "$here/$1" "${@:2}" &
    child=$!
    wait "$child" || status=$?
    child=
    ((status == 0)) && return
    printf 'pipeline.sh: stopped: %s ended with status %s; what is done is kept, and not done again\n' "$1" "$status" >&2
    exit "$status"
}

stop() {
    trap - INT TERM HUP
    [[ -z ${child:-} ]] || kill -TERM "$child" 2>/dev/null || true
    wait
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

main "$@"
