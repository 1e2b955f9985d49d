"""Many texts against many: does any of these stand so to any of those? In time linear in their characters, since who
writes an event may write long lists of either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set


def stand(how: str, ones: Set[str], others: Set[str]) -> bool:
    """Whether one of the first equals, starts with, ends with or contains one of the second."""
    if not ones or not others:
        return False
    if how == "equals":
        return not ones.isdisjoint(others)
    if how == "contains":
        return "" in others or _contain(ones, others)
    sizes = {len(other) for other in others}
    if how == "startswith":
        return any(one[:size] in others for one in ones for size in sizes if size <= len(one))
    return any(one[len(one) - size :] in others for one in ones for size in sizes if size <= len(one))


def _contain(ones: Set[str], others: Set[str]) -> bool:
    """Aho and Corasick's automaton. (The library's is faster with few and long texts, and takes seconds of 40,000.)"""
    follow, ends = _trie(others)
    back = _failing(follow, ends)
    for one in ones:
        at = 0
        for char in one:
            while at and char not in follow[at]:
                at = back[at]
            at = follow[at].get(char, 0)
            if ends[at]:
                return True
    return False


def _trie(texts: Set[str]) -> tuple[list[dict[str, int]], list[bool]]:
    """Return where each place goes on from with each character, and whether a text ends there."""
    follow: list[dict[str, int]] = [{}]
    ends = [False]
    for text in texts:
        at = 0
        for char in text:
            if char not in follow[at]:
                follow[at][char] = len(follow)
                follow.append({})
                ends.append(False)
            at = follow[at][char]
        ends[at] = True
    return follow, ends


def _failing(follow: list[dict[str, int]], ends: list[bool]) -> list[int]:
    """Return where to go on from where a place has no such character: the longest end of it that begins a text."""
    back = [0] * len(follow)
    waiting = deque(follow[0].values())
    while waiting:
        at = waiting.popleft()
        for char, then in follow[at].items():
            behind = back[at]
            while behind and char not in follow[behind]:
                behind = back[behind]
            back[then] = follow[behind].get(char, 0)
            ends[then] = ends[then] or ends[back[then]]
            waiting.append(then)
    return back
