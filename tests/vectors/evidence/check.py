#!/usr/bin/env python3
"""Checks the vectors beside it as somebody would who has only docs/evidence.md: netstrings, digests, links, and,
where the package `cryptography` is there, signatures. Exit code 1 when something is wrong."""
import hashlib, json, pathlib, sys

HERE = pathlib.Path(__file__).parent
ZEROS = "00" * 64


def netstrings(data):
    """The texts in a run of netstrings; anything else is an error."""
    while data:
        length, _, rest = data.partition(b":")
        assert str(int(length)).encode() == length, length
        text, comma = rest[: int(length)], rest[int(length) : int(length) + 1]
        assert comma == b","
        yield text
        data = rest[int(length) + 1 :]


def check(form):
    """A form's fields make its bytes, and these its hash. Gives the fields' first texts by name."""
    data = "".join(text for _, text in form["fields"]).encode()
    assert data.hex() == form["canonical_hex"], "bytes"
    assert hashlib.sha256(data).hexdigest() == form["hash"], "hash"
    return {name: next(netstrings(text.encode())).decode() for name, text in form["fields"]}


def signed(public, digest, signature):
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return False
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), bytes.fromhex(digest))
    return True


def key_id(public):
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32]


def main():
    load = lambda name: json.loads((HERE / f"{name}.json").read_text())
    hashes = []
    for name in ["interaction", "finding", "connection", "blind_spot"]:
        form = load(name)
        assert check(form)["tag"] == "AIOBS-REC"
        hashes.append(form["hash"])

    chain = load("chain")
    assert key_id(chain["public_key"]) == chain["key_id"]
    assert chain["record_hashes_of_the_second_seal"] == hashes
    before, signatures = "00" * 32, 0
    for seal in chain["seals"]:
        values = check(seal)
        assert values["tag"] == "AIOBS-SEAL" and values["prev_seal_hash"] == before, "link"
        before = seal["hash"]
        signatures += signed(chain["public_key"], seal["hash"], seal["signature"])
    digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
    assert dict(chain["seals"][1]["fields"])["records_digest"] == f"64:{digest},"

    previous = None
    for form in load("keys")["certificates"]:
        values = check(form)
        public = values["public_key"]
        assert values["tag"] == "AIOBS-KEY" and values["key_id"] == key_id(public)
        signatures += signed(public, form["hash"], form["self_signature"])
        if previous:
            assert values["prev_key_id"] == key_id(previous)
            signatures += signed(previous, form["hash"], form["prev_key_signature"])
        else:
            assert values["prev_key_id"] == "" and form["prev_key_signature"] == ZEROS
        previous = public
    anchor = load("anchor")
    values = check(anchor)
    sha = lambda data: hashlib.sha256(data).digest()
    netstring = lambda text: f"{len(text)}:{text},"
    leaves = [
        sha(b"\0" + "".join(netstring(str(leaf[name])) for name in ["host_id", "chain_epoch", "seal_seq", "seal_hash"]).encode())
        for leaf in anchor["leaves"]
    ]
    assert [leaf.hex() for leaf in leaves] == anchor["leaf_hashes"]
    left = sha(b"\1" + leaves[0] + leaves[1])
    assert values["merkle_root"] == sha(b"\1" + left + leaves[2]).hex(), "root"
    assert anchor["inclusion_proof_of_the_last_leaf"] == [left.hex()]
    signatures += signed(chain["public_key"], anchor["hash"], anchor["signature"])
    print(f"all vectors are right; {signatures} signatures checked")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"wrong: {error!r}")
