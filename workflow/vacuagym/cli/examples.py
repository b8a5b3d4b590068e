"""One command line for each subcommand: it ends the subcommand's ``--help``, and works as typed
after a run of the default data set.

Those below plan, shard and label start from the files that the ones above them have written.
"""

EXAMPLES = {
    "geometry": "vacuagym geometry --limit=1000 --output=bases.parquet",
    "table-state": "vacuagym table-state --table=results/geometry/fth6d.parquet",
    "plan": "vacuagym plan --dataset=fth6d --table=results/geometry/fth6d.parquet --id=base_id "
    "--moduli=T --output=plan.json",
    "columns": "vacuagym columns --plan=plan.json --first=0 --last=1 --column=T "
    "--output=columns.json",
    "threefolds": "vacuagym threefolds --plan=threefolds/plan.json --first=0 "
    "--source=weight_systems --content=weights --output=threefolds/0-9999.parquet",
    "threefold-table": "vacuagym threefold-table --plan=threefolds/plan.json "
    "--shards=threefolds --output=threefolds.parquet",
    "shard": "vacuagym shard --plan=plan.json --first=0 --output=shard.parquet",
    "label": "vacuagym label --shard=shard.parquet --physics=results/configuration.json "
    "--output=labels.parquet",
    "label-threefolds": "vacuagym label-threefolds --theory=kklt "
    "--geometry=threefolds/0-9999.parquet --physics=results/configuration.json "
    "--output=kklt.parquet",
    "merge": "vacuagym merge --plans results/plans/*.json --output=merged.parquet",
    "features": "vacuagym features --plan=plan.json --h11=h11 --h21=h21 --column=T "
    "--output=features.parquet",
    "survey": "vacuagym survey --names iid ood_complexity --output=survey.npz",
    "split": "vacuagym split --name=iid --train=0.8 --validation=0.1 --output=iid.parquet",
    "sample-segment": "vacuagym sample-segment --least=20 --rows=61539 --output=candidates",
    "sample": "vacuagym sample --least=20 --parts=4 --output=sample.parquet",
    "verify-part": "vacuagym verify-part --sample=sample.parquet --part=0 --output=part-0.json",
    "verify": "vacuagym verify --least=50 --output=verification.json",
    "verify-geometry": "vacuagym verify-geometry --dataset=threefolds --table=threefolds.parquet "
    "--source=weight_systems --plan=threefolds/plan.json --content=weights --least=50 "
    "--output=geometry-verification.json",
    "check-segment": "vacuagym check-segment --plans plan.json --splits results/splits/*.parquet "
    "--rows=61539 --output=found.npz",
    "validate": "vacuagym validate --plans plan.json --splits results/splits/*.parquet "
    "--output=validation.json",
    "report": "vacuagym report --output=report.html",
    "dataset-layout": "vacuagym dataset-layout --splits results/splits/*.parquet --features "
    "results/features/*.parquet --output=layout.json",
    "dataset-part": "vacuagym dataset-part --layout=layout.json --splits results/splits/*.parquet "
    "--features results/features/*.parquet --part=all --folder=dataset --output=part.json",
    "dataset": "vacuagym dataset --splits results/splits/*.parquet --features "
    "results/features/*.parquet --output=dataset",
    "gate": "vacuagym gate --output=verdict.txt",
    "explain": "vacuagym explain fth6d:123 --precise",
    "status": "vacuagym status",
}
