"""Random numbers as columns: each is a function of a row's number, so that more rows change none of those before."""

import math
import zlib

import polars as pl

_WORDS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of SplitMix64


def _shifted(number: pl.Expr, bits: int) -> pl.Expr:
    return number // pl.lit(2**bits, pl.UInt64)


def _mixed(number: pl.Expr) -> pl.Expr:
    """Mix the bits of unsigned numbers; products wrap around."""
    first, second, third = (pl.lit(word, pl.UInt64) for word in _WORDS)
    number = number * first
    number = (number ^ _shifted(number, 30)) * second
    number = (number ^ _shifted(number, 27)) * third
    return number ^ _shifted(number, 31)


def bits(number: pl.Expr, purpose: str, seed: int) -> pl.Expr:
    """64 random bits (UInt64) for each number and a purpose."""
    salt = zlib.crc32(f"{seed} {purpose}".encode())
    return _mixed(_mixed(number.cast(pl.UInt64)) + pl.lit(salt, pl.UInt64))


def uniform(number: pl.Expr, purpose: str, seed: int) -> pl.Expr:
    """A number from [0, 1) for each number and a purpose."""
    return _shifted(bits(number, purpose, seed), 11).cast(pl.Float64) / 2.0**53


def normal(number: pl.Expr, purpose: str, seed: int) -> pl.Expr:
    """A number of the standard normal distribution."""
    radius = (-2.0 * (1.0 - uniform(number, f"{purpose} radius", seed)).log()).sqrt()
    return radius * (2.0 * math.pi * uniform(number, f"{purpose} angle", seed)).cos()


def digits(number: pl.Expr, purpose: str, seed: int) -> pl.Expr:
    """An id of 16 hex digits for each number and a purpose."""
    return bits(number, purpose, seed).map_batches(_hexadecimal, return_dtype=pl.String)


def _hexadecimal(numbers: pl.Series) -> pl.Series:
    return pl.Series([f"{number:016x}" for number in numbers.to_list()], dtype=pl.String)
