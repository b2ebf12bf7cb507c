"""Events of 企业微信: the requests that tell of them, and what they must be answered with."""

from __future__ import annotations

from xml.etree import ElementTree

from noria.simulators.callbacks import Callback, Keys, encrypt, opened, signature


def echo(text: str, keys: Keys, *, timestamp: str, nonce: str) -> Callback:
    """The GET request that verifies a callback's address; it must be answered with `text`, and nothing else."""
    encrypted = encrypt(text, keys)
    signed = signature(keys.token, timestamp, nonce, encrypted)
    return Callback({"msg_signature": signed, "timestamp": timestamp, "nonce": nonce, "echostr": encrypted}, b"")


def event(xml: str, keys: Keys, *, timestamp: str, nonce: str, agentid: str = "") -> Callback:
    """The POST request that tells of an event, itself XML within."""
    encrypted = encrypt(xml, keys)
    query = {
        "msg_signature": signature(keys.token, timestamp, nonce, encrypted),
        "timestamp": timestamp,
        "nonce": nonce,
    }
    fields = {"ToUserName": keys.owner, "AgentID": agentid, "Encrypt": encrypted}
    inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    return Callback(query, f"<xml>{inner}</xml>".encode())


def answered(body: bytes, keys: Keys) -> str:
    """The text of the answer to an event: what the encrypted XML says, or a plain `success` or nothing as it is;
    raises `ValueError` for an answer that the vendor would not take."""
    if body in (b"", b"success"):
        return body.decode()
    if b"<!" in body.replace(b"<![CDATA[", b""):
        raise ValueError("the answer declares a document type or holds a comment")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without declarations, there is nothing to expand
    except ElementTree.ParseError as error:
        raise ValueError(f"the answer is not XML: {error}") from error
    found = {child.tag: child.text or "" for child in root}
    if set(found) != {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"}:
        raise ValueError("the answer has Encrypt, MsgSignature, TimeStamp, Nonce")
    return opened(found["Encrypt"], found["TimeStamp"], found["Nonce"], found["MsgSignature"], keys)
