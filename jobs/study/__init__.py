"""How project.yaml is read, one question a module; `jobs.project` is the way in. Pure: text in, frozen objects out.

    yaml_text     bytes -> plain data that remembers its lines, within limits
    scalars       a word of YAML -> its value
    findings      what the two older validators say, and the verdict that follows from both
    run_command   the run text: image, tag, arguments, database access, duplicates
    generators    the actions that read the database: what they may promise as outputs
    patterns      output paths
    actions       one entry of `actions` -> Action
    needs         the graph of actions

Nothing here knows Django, git, Docker or files.
"""
