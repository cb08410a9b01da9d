# Matrices: train -> F and its six metrics -> judge -> table. A folder is never an output, only what a run leaves
# last, so that Snakemake takes no checkpoint away.


def folders(notebook):
    """A pattern of the folders of these runs."""
    return "|".join(re.escape(run.folder) for run in RUNS.values() if run.notebook == notebook) or "none"


def told(wildcards):
    """Arguments of the piece: what the notebook is told, and which table the run is for."""
    run, matrix = RUNS[wildcards.run], OF[wildcards.run]
    words = [json.dumps(run.told), "--cited", matrix.table, *["--allow-dirty"] * matrix.allow_dirty]
    return shlex.join(words)


def ends(wildcards):
    """The last file of every run of a table."""
    runs = MATRICES[TABLES[wildcards.table]].runs.values()
    try:
        check_settings(runs)
    except InputError as error:
        sys.exit(str(error))
    return [run.last for run in runs]


rule train:
    output:
        "{run}/F.safetensors",
        "{run}/metrics.csv",
    wildcard_constraints:
        run=folders("train"),
    params:
        told=told,
    threads: lambda w: RUNS[w.run].threads
    resources:
        gpu=lambda w: RUNS[w.run].gpu,
        runtime=lambda w: RUNS[w.run].runtime(),
        mem_mb=16000,
    shell:
        "OMP_NUM_THREADS={threads} python -m studies.piece train {wildcards.run:q} {params.told}"


rule judge:
    input:
        # of weights made elsewhere the time says nothing: a fresh checkout gives files any order
        lambda w: [F if str(Path(F).parent) in RUNS else ancient(F) for F in RUNS[w.run].needs],
    output:
        "{run}/scores.json",
    wildcard_constraints:
        run=folders("downstream"),
    params:
        told=told,
    threads: lambda w: RUNS[w.run].threads
    resources:
        gpu=lambda w: RUNS[w.run].gpu,
        runtime=lambda w: RUNS[w.run].runtime(),
        mem_mb=16000,
    shell:
        "OMP_NUM_THREADS={threads} python -m studies.piece downstream {wildcards.run:q} {params.told}"


localrules:
    table,
    pictures,


rule table:
    input:
        ends,
    output:
        update("{table}.csv"),
        update("{table}.json"),
    wildcard_constraints:
        table="|".join(map(re.escape, TABLES)),
    run:
        from studies.collect import collect

        name = TABLES[wildcards.table]
        collect(MATRICES[name], f"snakemake -s studies/Snakefile {name}")


rule pictures:
    input:
        [run.last for run in MATRICES["downstream_synthroad"].runs.values() if run.told["seed"] == 0],
    output:
        update("results/downstream_synthroad_pictures.json"),
    shell:
        "python -m studies.downstream_synthroad"
