# How far ahead the loss looks: a job for every arm and seed, most telling first, a rule for each seed of a tier.
# What the table already has is not run again.

from studies import lookahead_arms as far

LOOKAHEAD = [f"results/lookahead{end}" for end in (".csv", ".json", "_maps.npz")]
HAS = set()
if (ROOT / LOOKAHEAD[1]).is_file():
    made = json.loads((ROOT / LOOKAHEAD[1]).read_text("utf-8"))["provenance"]
    HAS = {(run["arm"], run["seed"]) for run in made}
FAR_JOBS = [job for job in far.jobs() if job not in HAS]
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
        [update(file) for file in LOOKAHEAD],
    shell:
        "python -m studies.lookahead collect"
