"""Studies: questions about a paper that runs answer, each run a row that is kept, the whole a page.

`seeds` has the statistics, `rows` what is kept, `published` the papers' numbers, `page` what pages of studies
share; a study is the files that begin with its name.
"""
