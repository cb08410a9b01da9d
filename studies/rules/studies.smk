# The other studies, and the benchmarks. What is one command stands in results/index.json alone and gets its rule
# from there; the mechanism study is a job for every arm and seed.

INDEX = json.loads((ROOT / "results" / "index.json").read_text("utf-8"))
SCENES = [f"runs/mechanism/scenes_{split}.pt" for split in ("train", "test")]
RUN_FILES = ("config.json", "history.jsonl", "provenance.json", "F.safetensors")


for entry in INDEX:
    COMMAND = entry["command"]
    if COMMAND.startswith("python -m"):

        rule:
            name:
                Path(entry["files"][0]).stem
            output:
                [update(f"results/{file}") for file in entry["files"]],
            params:
                command=COMMAND,
            # all cores that there are: nothing runs beside a measurement of time
            threads: 1000 if "benchmarks." in COMMAND else 1
            resources:
                gpu=int("cuda" in COMMAND),
            shell:
                "{params.command}"

    elif not COMMAND.startswith("snakemake"):  # a short run that the book keeps whole: runs/NAME -> results/NAME

        rule:
            name:
                Path(entry["files"][0]).parts[0]
            output:
                [update(f"results/{Path(entry['files'][0]).parts[0]}/{file}") for file in RUN_FILES],
            params:
                command=COMMAND,
                name=Path(entry["files"][0]).parts[0],
            run:
                from studies.collect import keep_whole

                shell("{params.command}")
                keep_whole(Path("runs") / params.name, Path("results") / params.name)


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
