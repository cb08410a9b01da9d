# Studies of arms and seeds, a job for each. What their tables already have is not run again.

from studies import lookahead_arms as far
from studies import photographs_arms as photographs
from studies import recipes_arms as recipes


def tables(study, ends=(".csv", ".json", "_maps.npz")):
    """What a study's rule makes: nothing where a table is there, for snakemake would then call its missing jobs done."""
    files = [f"results/{study}{end}" for end in ends]
    return [file for file in files if not Path(file).exists()]


def lacking(study, jobs):
    """The jobs that the study's table does not have, in their order."""
    record = ROOT / "results" / f"{study}.json"
    made = json.loads(record.read_text("utf-8"))["provenance"] if record.is_file() else []
    has = {(run["arm"], run["seed"]) for run in made}
    return [job for job in jobs if job not in has]


# How far ahead the loss looks: most telling first, a rule for each seed of a tier.
FAR_JOBS = lacking("lookahead", far.jobs())
FAR_FIRST = {job: len(FAR_JOBS) - at for at, job in enumerate(FAR_JOBS)}


def far_file(name, seed):
    return f"runs/lookahead/{name}, seed {seed}.json"


rule lookahead_scenes:
    output:
        "runs/lookahead/scenes_train_{seed}.pt",
        "runs/lookahead/scenes_test_{seed}.pt",
    priority: 1000
    shell:
        "python -m studies.lookahead scenes --seed {wildcards.seed}"


for seed in far.SEEDS:
    for tier in far.TIERS:
        FIRST_OF = max((FAR_FIRST.get((name, seed), 0) for name in far.names_of(tier)), default=0)

        rule:
            name:
                f"lookahead_{tier}_{seed}"
            input:
                f"runs/lookahead/scenes_train_{seed}.pt",
                lambda w: [far_file(far.TEACHER, w.seed)] if far.needs_teacher(w.arm) else [],
            output:
                "runs/lookahead/{arm}, seed {seed}.json",
            wildcard_constraints:
                arm="|".join(map(re.escape, far.names_of(tier))),
                seed=seed,
            priority: FIRST_OF
            shell:
                "OMP_NUM_THREADS=1 python -m studies.lookahead arm {wildcards.arm:q} --seed {wildcards.seed}"


rule lookahead:
    input:
        [far_file(*job) for job in FAR_JOBS],
    output:
        tables("lookahead"),
    shell:
        "python -m studies.lookahead collect"


# Table 3 and the differences between the paper and its released code.
RECIPES = lacking("recipes", recipes.jobs())


rule recipe:
    output:
        "runs/recipes/{arm}, seed {seed}.json",
    shell:
        "OMP_NUM_THREADS=1 python -m studies.recipes arm {wildcards.arm:q} --seed {wildcards.seed}"


rule recipes:
    input:
        [f"runs/recipes/{name}, seed {seed}.json" for name, seed in RECIPES],
    output:
        tables("recipes"),
    shell:
        "python -m studies.recipes collect"


# Photographs: the judge on the boxes of MSRS.
PHOTOGRAPHS = lacking("photographs", photographs.jobs())


def photographs_file(name, seed):
    return f"runs/photographs/{name}, seed {seed}.json"


rule photograph:
    input:
        lambda w: [photographs_file(need, w.seed)] if (need := photographs.needs(w.arm)) else [],
    output:
        "runs/photographs/{arm}, seed {seed}.json",
    priority: 10
    shell:
        "OMP_NUM_THREADS=1 python -m studies.photographs arm {wildcards.arm:q} --seed {wildcards.seed}"


rule photographs:
    input:
        [photographs_file(*job) for job in PHOTOGRAPHS],
    output:
        tables("photographs", (".csv", ".json")),
    shell:
        "python -m studies.photographs collect"
