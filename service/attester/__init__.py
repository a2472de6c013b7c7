"""The attester: checks what workers signed, signs what this operator says, has it logged, records it (DESIGN sections 4 and 5.9 to 5.11).

Its work comes from SQL only. It believes nothing that SQL says of outcomes, resolutions or verdicts: it reads envelopes, its own list of
enrolled keys and its own policy files. It parses no archive, runs no container and reaches no network but the sequencer's socket.
"""
