# The other studies, and the benchmarks. What is one command stands in results/index.json alone and gets its rule
# from there; the mechanism study is a job for every arm and seed.

INDEX = json.loads((ROOT / "results" / "index.json").read_text("utf-8"))
SCENES = [f"runs/mechanism/scenes_{split}.pt" for split in ("train", "test")]


def files(pattern):
    """What an entry of the index stands for; the whole of a run folder for these three."""
    ends = ("F.safetensors", "config.json", "provenance.json") if pattern.endswith("*") else ("",)
    return [f"results/{pattern.removesuffix('*')}{end}" for end in ends]


for entry in INDEX:
    COMMAND, FIRST = entry["command"], entry["files"][0].removesuffix("/*")
    if not COMMAND.startswith("snakemake"):

        rule:
            name:
                FIRST.partition(".")[0].replace("/", "_")
            input:
                [ancient(f"results/{file}") for file in entry.get("needs", ())],
            output:
                [update(file) for pattern in entry["files"] for file in files(pattern)],
            params:
                command=COMMAND.replace("FOLDER", '"$TDFUSION_ROOT"'),  # the folder of the real data set
                # a short run that the book keeps whole
                kept="" if COMMAND.startswith("python -m") else FIRST,
            # all cores that there are: nothing runs beside a measurement of time
            threads: 1000 if "benchmarks." in COMMAND else 1
            resources:
                gpu=int("cuda" in COMMAND),
            run:
                shell("{params.command}")
                if params.kept:
                    from studies.collect import keep_whole

                    keep_whole(Path("runs") / params.kept, Path("results") / params.kept)


rule mechanism_scenes:
    output:
        SCENES,
    shell:
        "python -m studies.mechanism scenes"


rule mechanism_arm:
    input:
        SCENES,
        lambda w: [f"runs/mechanism/{source}, seed {w.seed}.json" for source in replayed(w.arm)],
    output:
        "runs/mechanism/{arm}, seed {seed}.json",
    wildcard_constraints:
        arm="|".join(map(re.escape, (*IMAGES, *ARMS))),
        seed=r"\d+",
    shell:
        "OMP_NUM_THREADS=1 python -m studies.mechanism arm {wildcards.arm:q} --seed {wildcards.seed}"


rule mechanism:
    input:
        SCENES,
        expand("runs/mechanism/{arm}, seed {seed}.json", arm=(*IMAGES, *ARMS), seed=SEEDS),
    output:
        update("results/mechanism.csv"),
        update("results/mechanism.json"),
        update("results/mechanism_history.csv"),
        update("results/mechanism_maps.npz"),
    shell:
        "python -m studies.mechanism collect"
