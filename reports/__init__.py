"""What the three statistics scripts show: numbers, charts for the terminal, and HTML pages.

    quantiles         medians, quantiles and histograms of counted numbers
    levels            which levels the datasets have
    charts            bars, range plots and warnings in a terminal
    census            counts of images, types and resolutions        dataset_stats.py
    census_json       the same as JSON
    caption_checks    what trainers trip over                        dataset_stats.py
    dataset_warnings  what needs attention before training           dataset_stats.py
    dataset_page      the page of a census                           dataset_stats.py --html
    scatter           the scatter chart of its resolutions
    ranking           topics ranked by their median score            aesthetic_stats.py
    score_tables      its tables in a terminal
    aesthetic_page    the page of a ranking                          aesthetic_stats.py --html
    galleries         its best and worst images, to look at and to drop
    duplicate_counts  counts of copies and variants                  duplicates_stats.py
    duplicate_totals  their totals, as JSON
    review_sets       sets of images that match
    review_images     what the page shows of each
    review_orders     its bulk rules, and what its filters ask
    review_page       the page to review them                        duplicates_stats.py --html
    outcome_page      a page on what goes in and what is left out
    merge_page        that of a merge                                merge_clusters.py --html
    split_page        that of a split                                split_data.py --html
    html_option       the options --html and --open
    page              what all pages share: template, thumbnails, a limit on the size

templates/ has the Jinja2 templates with their style and scripts.
"""
