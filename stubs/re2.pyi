# The part of google-re2 that Alaska uses; the package has no type information.

class error(Exception): ...

class Options:
    class Encoding:
        LATIN1: Options.Encoding
        UTF8: Options.Encoding

    encoding: Options.Encoding
    max_mem: int
    log_errors: bool
    dot_nl: bool
    never_nl: bool
    never_capture: bool
    case_sensitive: bool

class _Match: ...

class _Regexp:
    def search(self, text: bytes) -> _Match | None: ...
    def fullmatch(self, text: bytes) -> _Match | None: ...

def compile(pattern: bytes, options: Options | None = None) -> _Regexp: ...  # noqa: A001 - the module's own name
