"""Entity Stream: documents from Kafka, entities from a custom-NER model, back to Kafka.

    read -> batch -> submit -> poll -> publish -> commit

    cli.py          the commands; wiring only
    settings/       the only reader of the environment; builds frozen plans
    serving.py      puts edges around a line, one life after another until the stop
    board.py        what is seen from outside: ready or why not, stalled or not
    estimating.py   what a backlog or a folder will cost and take, before anything is sent
    pipeline.py     the heart, one page: read, batch, carry a batch to its job's end
    resources.py    all endpoints and their models: who takes a batch, who owns a job
    calling.py      asking one of them until it has answered: submit, poll, throttles, refused keys
    dividing.py     which part of each quota is ours, among the replicas of the group
    doubt.py        whether what it rejects may be believed: the probe
    tenure.py       a partition while it is ours, and its settler: publish and commit, one act
    ports.py        what the pipeline needs: Source, Language, Ledger
    plan.py         every number it obeys
    moments.py      the loop's clock, and waiting for an event
    stacks.py       where every task waits
    core/           every decision; no I/O, no clock, no randomness: time is an argument
    edges/          every import of a client library: Kafka, HTTP, metrics, logs, probes
    engine/         the self-hosted Language server: same wire module, other end
    sample/         labelled incident reports that demo and engine train on
    demo/           broker, engine, service and a viewer on one machine

Who may import whom is the table at the top of tests/test_house.py.
"""
