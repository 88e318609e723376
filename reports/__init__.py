"""HTML pages: one self-contained file each, in both colour schemes, for any width.

    page             what all pages share: template, thumbnails, a bound on the size     open this first
    dataset_page     counts, formats and resolutions (dataset_stats.py --html)
    aesthetic_page   ranked topics with samples (aesthetic_stats.py --html)
    review_page      sets of duplicates to decide about (duplicates_stats.py --html)
    templates/       Jinja2 templates, style and script

Imports every room below; Jinja2 and Pillow.
"""
