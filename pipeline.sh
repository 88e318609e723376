#!/usr/bin/env bash
# From datasets to a training set: statistics, scores, duplicates, a merged dataset, and a split
# into training and validation.
#
# usage: pipeline.sh DATASET [DATASET ...] [--output FOLDER] [--reports FOLDER] [scorer options]
#
#   --output FOLDER    the merged dataset (default: full_dataset)
#   --reports FOLDER   where train_set.json, valid_set.json, statistics and HTML pages go
#                      (default: the folder that contains the merged dataset)
#   scorer options     all other options go to aesthetic_scorer.py: --model tiny, --device cuda,
#                      --head laion-v2
#
# Prints each command before running it, stops at the first failure and returns its exit status.
# After a stop, a crash or new images, run the same command again: finished work is skipped.
# Python is $PYTHON, or .venv/bin/python beside this script, or python3.
#
#   ./pipeline.sh DataSet_1 DataSet_2 --output full_dataset
#   ./pipeline.sh ~/photos/* --output /data/full_dataset --reports /data/reports --batch-size 256

set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
python=${PYTHON:-$here/.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python3

main() {
    parse_args "$@"
    mkdir -p -- "$reports"

    step dataset_stats.py "${datasets[@]}" --output "$reports/datasets_image_statistics.json" \
        --html "$reports/dataset_stats.html"
    step aesthetic_scorer.py "${datasets[@]}" ${scorer_options[@]+"${scorer_options[@]}"}
    step aesthetic_stats.py "${datasets[@]}" --output "$reports/aesthetic_stats.json" \
        --html "$reports/aesthetic_stats.html"
    step find_duplicates.py "${datasets[@]}"
    step duplicates_stats.py "${datasets[@]}"
    step merge_clusters.py "${datasets[@]}" --output "$output"
    step find_duplicates.py "$output" --variants --across # related images, in any topic
    step split_data.py "$output" --exclude-duplicates --output-dir "$reports"

    printf '\n🏁 %s\n' "merged dataset   $output"
    printf '   %s\n' \
        "training set     $reports/train_set.json" "validation set   $reports/valid_set.json" \
        "pages to open    $reports/dataset_stats.html" \
        "                 $reports/aesthetic_stats.html" \
        "numbers          $reports/datasets_image_statistics.json" \
        "                 $reports/aesthetic_stats.json"
}

parse_args() {
    datasets=() scorer_options=() output=full_dataset reports=
    while (($#)); do
        case $1 in
        -h | --help) print_usage && exit ;;
        --output | --reports)
            (($# > 1)) || fail "$1 needs a folder"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        --output=* | --reports=*) printf -v "$(cut -d= -f1 <<<"${1#--}")" %s "${1#*=}" ;;
        -*) scorer_options+=("$1") ;;
        *) if ((${#scorer_options[@]})); then scorer_options+=("$1"); else datasets+=("$1"); fi ;;
        esac
        shift
    done
    ((${#datasets[@]})) || fail "no dataset given; see --help"
    reports=${reports:-$(dirname -- "$output")}
}

print_usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$here/pipeline.sh"; }

fail() {
    printf 'pipeline.sh: error: %s\n' "$1" >&2
    exit 2
}

# Run one script of the suite, in the background: a signal reaches it at once, not when it is done.
step() {
    local status=0
    printf '\n$%s\n' "$(printf ' %q' "$python" "$here/$1" "${@:2}")" >&2 # %q: ready to paste
    "$python" "$here/$1" "${@:2}" &
    child=$!
    wait "$child" || status=$?
    child=
    ((status == 0)) && return
    printf 'pipeline.sh: stopped: %s ended with status %s; %s\n' "$1" "$status" \
        "finished work is kept and skipped next time" >&2
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
