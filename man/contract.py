#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints a page for scdoc: PAGE, with the line "@REFERENCE@" replaced by what the interfaces' XML says.

usage: contract.py PAGE XML...
"""
import re
import sys
import textwrap
from xml.dom import Node, minidom

WIDTH = 68  # of the text on a page that is 80 columns wide
ENTRY = re.compile(r"( *\S+(?: \S+)*  +(?:\S{1,7}  +)?)(?=\S)")  # "key  type  " and its text behind it
ANNOUNCED = {"const": "never changes", "false": "changes are not announced"}

LABEL = re.compile(r"[A-Za-z]+:( |$)")  # what the text behind it is about, like "options: none yet"


def escaped(text):
    return re.sub(r"([\\_*])", r"\\\1", text)


def paragraphs(lines):
    """(indent of the first line, of the others, words) of each paragraph and entry of a comment."""
    found = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        entry = ENTRY.match(line)
        if not line:
            found.append(("", "", []))
        elif entry:
            found.append((entry[1], " " * len(entry[1]), [line[len(entry[1]):]]))
        elif found and continues(found[-1], indent, line.strip()):
            found[-1][2].append(line.strip())
        else:
            found.append((" " * indent, " " * indent, [line.strip()]))
    return found


def continues(paragraph, indent, line):
    """Whether the line goes on with what the paragraph says."""
    _, others, words = paragraph
    if not words or (LABEL.match(line) and indent <= len(others)):
        return False
    if line.startswith('"') and words[-1].endswith((";", "; or")):
        return False  # the next word of a list, like "open": which is
    label = LABEL.match(words[0])
    hanging = label and words != [label[0]]
    return indent == len(others) or (hanging and indent > len(others))


def literal(comment):
    """The comment as it stands in the XML, with lines that fit."""
    text = textwrap.dedent(comment.strip("\n")).strip()
    wrapped = []
    for first, others, words in paragraphs(text.splitlines()):
        filled = textwrap.fill(" ".join(words), WIDTH, initial_indent=first, subsequent_indent=others,
                               break_long_words=False, break_on_hyphens=False)
        wrapped.append(filled)
    return "```\n" + "\n".join(wrapped).replace("\\", "\\\\") + "\n```\n"


def comment_before(node):
    while (node := node.previousSibling) is not None:
        if node.nodeType == Node.COMMENT_NODE:
            return literal(node.data)
        if node.nodeType == Node.ELEMENT_NODE:
            break
    return ""


def elements(node, *names):
    return [child for child in node.childNodes if child.nodeName in names]


def arguments(member, direction):
    default = "out" if member.nodeName == "signal" else "in"
    return ", ".join(
        escaped(argument.getAttribute("type")) + " _" + argument.getAttribute("name") + "_"
        for argument in elements(member, "arg")
        if (argument.getAttribute("direction") or default) == direction)


def declaration(member):
    name = "*" + member.getAttribute("name") + "*"
    if member.nodeName == "property":
        notes = [annotation.getAttribute("value") for annotation in elements(member, "annotation")
                 if annotation.getAttribute("name").endswith("EmitsChangedSignal")]
        announced = ANNOUNCED.get(notes[0] if notes else "", "PropertiesChanged announces changes")
        return f"{escaped(member.getAttribute('type'))} {name} ({announced})"
    if member.nodeName == "signal":
        return f"{name}({arguments(member, 'out')})"
    results = arguments(member, "out")
    return f"{name}({arguments(member, 'in')})" + (f" → {results}" if results else "")


def prologue(document):
    comments = [node for node in document.childNodes if node.nodeType == Node.COMMENT_NODE]
    return literal(comments[-1].data)


def reference(documents):
    yield prologue(documents[0])
    for document in documents:
        preface = "" if document is documents[0] else prologue(document)
        for interface in elements(document.documentElement, "interface"):
            yield f"# {interface.getAttribute('name')}\n"
            yield preface
            preface = ""
            yield comment_before(interface)
            for member in elements(interface, "method", "property", "signal"):
                yield f"## {member.nodeName} {member.getAttribute('name')}\n"
                yield declaration(member) + "\n"
                yield comment_before(member)


def main():
    page, *contract = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    parts = filter(None, reference([minidom.parse(xml) for xml in contract]))
    sys.stdout.reconfigure(encoding="utf-8")
    print(text.replace("@REFERENCE@\n", "\n".join(parts)), end="")


main()
