#!/usr/bin/env bash
# From datasets to a training set: statistics, scores, duplicates, a merged dataset, and a split
# into training and validation.
#
# usage: pipeline.sh [options] DATASET [DATASET ...]
#
#   --output FOLDER    the merged dataset (default: full_dataset)
#   --reports FOLDER   where train_set.json, valid_set.json, statistics and HTML pages go
#                      (default: the folder that contains the merged dataset)
#   --levels 1|2       for datasets laid out as DataSet/Topic or DataSet/Cluster/Topic
#   --include PATTERN, --exclude PATTERN   only some topics or images of the datasets
#   --no-masks         take x_mask.png beside x.jpg for an image
#   --prefer ORDER     which of several copies is kept: best, largest, oldest, newest, first
#   --mode MODE        how images come to the merged dataset: copy, hardlink, symlink
#   scorer options     all other options go to aesthetic_scorer.py: --model tiny, --device cuda,
#                      --head laion-v2
#
# The datasets are searched together in OUTPUT.linked, a folder of links that takes no space. It is
# kept: the next run is quick with it. Delete it whenever you like.
#
# Checks target, options and weights first. Of `data/*` it skips the target and what it keeps beside
# it.
#
# Prints each command before running it, stops at the first failure and returns its exit status.
# After a stop, a crash or new images, run the same command again: finished work is skipped.
# Python is $PYTHON, or .venv/bin/python beside this script, or python3.
#
#   ./pipeline.sh DataSet_1 DataSet_2 --output full_dataset
#   ./pipeline.sh ~/photos/* --output /data/full_dataset --reports /data/reports --batch-size 256

set -euo pipefail
export CURATION_NO_NEXT_STEP=1 # what comes next is known
CURATION_SAID_BEFORE=$(mktemp 2>/dev/null || true) # each warning once
export CURATION_SAID_BEFORE
trap 'rm -f -- "$CURATION_SAID_BEFORE"' EXIT

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
python=${PYTHON:-$here/.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python3

main() {
    parse_args "$@"
    check_target
    mkdir -p -- "$reports"
    local sources=("${datasets[@]}" ${levels[@]+"${levels[@]}"} ${patterns[@]+"${patterns[@]}"})
    local linked=("$output.linked" ${levels[@]+"${levels[@]}"} ${prefer[@]+"${prefer[@]}"})
    local merged=("$output" ${levels[@]+"${levels[@]}"} ${prefer[@]+"${prefer[@]}"})
    step aesthetic_scorer.py "${sources[@]}" ${scorer_options[@]+"${scorer_options[@]}"} --check

    # Links first: a new link changes what is recorded of a file, as if it had been edited.
    step merge_clusters.py "${sources[@]}" --for-search --output "$output.linked" --mixed-scores
    step dataset_stats.py "${sources[@]}" --output "$reports/datasets_image_statistics.json" \
        --html "$reports/dataset_stats.html"
    step aesthetic_scorer.py "${sources[@]}" ${scorer_options[@]+"${scorer_options[@]}"}
    step aesthetic_stats.py "${sources[@]}" --output "$reports/aesthetic_stats.json" \
        --html "$reports/aesthetic_stats.html"
    step merge_clusters.py "${sources[@]}" --for-search --output "$output.linked" # with scores
    step find_duplicates.py "${linked[@]}" # copies, also across the datasets
    step duplicates_stats.py "${linked[@]}" --html "$reports/review.html"
    step merge_clusters.py "${linked[@]}" --output "$output" ${mode[@]+"${mode[@]}"}
    step find_duplicates.py "${merged[@]}" --variants --across # related images, in any topic
    step split_data.py "${merged[@]}" --exclude-duplicates --output-dir "$reports"

    printf '\n🏁 %s\n' "merged dataset   $output"
    printf '   %s\n' \
        "training set     $reports/train_set.json" "validation set   $reports/valid_set.json" \
        "pages to open    $reports/dataset_stats.html" \
        "                 $reports/aesthetic_stats.html" \
        "                 $reports/review.html (check the duplicates, then run this again)" \
        "numbers          $reports/datasets_image_statistics.json" \
        "                 $reports/aesthetic_stats.json"
}

parse_args() {
    datasets=() scorer_options=() levels=() patterns=() prefer=() mode=()
    output=full_dataset reports=
    while (($#)); do
        case $1 in
        -h | --help) print_usage && exit ;;
        --output | --reports)
            (($# > 1)) || fail "$1 needs a folder"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        --levels)
            (($# > 1)) || fail "--levels needs 1, 2 or 3"
            levels+=(--levels "$2")
            shift
            ;;
        --levels=*) levels+=("$1") ;;
        --no-masks) levels+=(--no-masks) ;;
        --prefer)
            (($# > 1)) || fail "--prefer needs best, largest, oldest, newest or first"
            prefer=(--prefer "$2")
            shift
            ;;
        --prefer=*) prefer=("$1") ;;
        --mode)
            (($# > 1)) || fail "--mode needs copy, hardlink or symlink"
            mode=(--mode "$2")
            shift
            ;;
        --mode=*) mode=("$1") ;;
        --include | --exclude)
            (($# > 1)) || fail "$1 needs a pattern"
            patterns+=("$1" "$2")
            shift
            ;;
        --include=* | --exclude=*) patterns+=("$1") ;;
        --output=* | --reports=*) printf -v "$(cut -d= -f1 <<<"${1#--}")" %s "${1#*=}" ;;
        --*=* | --rescore | --only-missing | --no-cache | --check | --fast-decode | --ray | \
            --json | --quiet | --strict) scorer_options+=("$1") ;;
        -*)
            scorer_options+=("$1")
            if (($# > 1)); then scorer_options+=("$2") && shift; fi
            ;;
        *) datasets+=("$1") ;;
        esac
        shift
    done
    while [[ $output == ?*/ ]]; do output=${output%/}; done
    reports=${reports:-$(dirname -- "$output")}
    skip_own_files
    ((${#datasets[@]})) || fail "no dataset given; see --help"
}

# Drop the target and what is kept beside it from the datasets: `data/*` names them, too.
skip_own_files() {
    local path given=(${datasets[@]+"${datasets[@]}"})
    datasets=()
    for path in ${given[@]+"${given[@]}"}; do
        [[ -e $path && $path -ef $output ]] && continue
        [[ -e $path && $path -ef $output.linked ]] && continue
        is_own_file "$path" || datasets+=("$path")
    done
}

is_own_file() {
    [[ -f $1 && $(dirname -- "$1") -ef $reports ]] || return
    case $(basename -- "$1") in
    train_set.json | valid_set.json | datasets_image_statistics.json | aesthetic_stats.json | \
        dataset_stats.html | aesthetic_stats.html | review.html | *.log | *.lock) ;;
    *) return 1 ;;
    esac
}

real_path() { "$python" -c 'import os, sys; print(os.path.realpath(sys.argv[1]))' "$1"; }

# Fail now if the merge would refuse the target in the end.
check_target() {
    local folder target dataset path
    for folder in "$output" "$output.linked"; do
        target=$(real_path "$folder")
        for dataset in "${datasets[@]}"; do
            path=$(real_path "$dataset")
            [[ $path/ != "$target"/* && $target/ != "$path"/* ]] ||
                fail "--output $folder: overlaps $dataset; give --output another place"
        done
        [[ ! -e $folder || -d $folder ]] || fail "--output $folder: is a file; give --output a folder"
        [[ ! -d $folder || -e $folder/merge_manifest.jsonl || -e $folder/.links_to_search ||
            -z $(ls -A -- "$folder") ]] ||
            fail "--output $folder: not empty, and no merge made it; give --output another place"
    done
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
