"""What the surgeon has to know of a language: which nodes of its tree-sitter grammar are what. Data, no code.

A further language is a grammar's wheel (`tree-sitter-<name>`) and a table here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

from tree_sitter import Language as Grammar
from tree_sitter import Parser

_Kinds = frozenset[str]


def _kinds(words: str) -> _Kinds:
    return frozenset(words.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language. Sets hold kinds of nodes; the words below them are source text.

    `functions` are definitions whose bodies are operated on, `containers` hold more of them. `blocks` hold statements,
    one after another. `bindings` are (kind of parent, field) of names that are defined there and not used; those of
    attributes are in `attributes`.
    """

    name: str
    module: str
    entry: str = "language"
    suffixes: tuple[str, ...]
    functions: _Kinds
    containers: _Kinds
    blocks: _Kinds
    binary: _Kinds = frozenset({"binary_expression"})
    calls: _Kinds = frozenset({"call_expression"})
    arguments: _Kinds = frozenset({"argument_list", "arguments"})
    parameters: _Kinds = frozenset(
        {"parameters", "parameter_list", "formal_parameters", "lambda_parameters", "closure_parameters"}
    )
    names: _Kinds = frozenset({"identifier"})
    bindings: frozenset[tuple[str, str]] = frozenset()
    attributes: frozenset[tuple[str, str]]
    integers: _Kinds
    floats: _Kinds = frozenset()
    strings: _Kinds
    constants: _Kinds
    sequences: _Kinds = frozenset()
    subscripts: _Kinds
    loops: _Kinds = frozenset({"for_statement", "while_statement", "do_statement"})
    ifs: _Kinds = frozenset({"if_statement"})
    jumps: _Kinds = frozenset({"break_statement", "continue_statement"})
    returns: _Kinds = frozenset({"return_statement"})
    definitions: _Kinds = frozenset()
    """Statements that stay where they are: imports, nested definitions, declarations."""
    comments: _Kinds = frozenset({"comment", "line_comment", "block_comment"})
    empty: str = ";"
    """What stands where a statement has to."""
    end: str = ";"
    words: tuple[str, str, str] = ("&&", "||", "!")
    """And, or, not."""
    truth: tuple[str, str, str] = ("true", "false", "null")
    """True, false and nothing."""
    guard: str = "if (%s) { %s }"
    """A statement under a condition; a line break in it stands for one in the file."""
    absent: _Kinds = frozenset({"//", "**", "//=", "===", "!==", "..="})
    """Operators of other languages that would be something else here."""
    python: bool = False


_C_LIKE = frozenset({("field_expression", "field")})

LANGUAGES = (
    Language(
        name="python", module="tree_sitter_python", suffixes=(".py", ".pyi", ".pyw"), python=True,
        functions=_kinds("function_definition"),
        containers=_kinds("class_definition decorated_definition"),
        blocks=_kinds("module block"),
        binary=_kinds("binary_operator comparison_operator boolean_operator"),
        calls=_kinds("call"),
        bindings=frozenset({
            ("function_definition", "name"), ("class_definition", "name"), ("keyword_argument", "name"),
            ("default_parameter", "name"), ("typed_default_parameter", "name"), ("typed_parameter", ""),
            ("parameters", ""), ("lambda_parameters", ""), ("list_splat_pattern", ""), ("dictionary_splat_pattern", ""),
            ("dotted_name", ""), ("aliased_import", "alias"), ("as_pattern_target", ""), ("global_statement", ""),
            ("nonlocal_statement", ""), ("type", ""), ("decorator", ""), ("except_clause", "value"),
        }),
        attributes=frozenset({("attribute", "attribute")}),
        integers=_kinds("integer"), floats=_kinds("float"), strings=_kinds("string"),
        constants=_kinds("true false none"),
        sequences=_kinds("list tuple set dictionary"),
        subscripts=_kinds("subscript"),
        loops=_kinds("for_statement while_statement"),
        definitions=_kinds(
            "import_statement import_from_statement future_import_statement function_definition class_definition "
            "decorated_definition global_statement nonlocal_statement"
        ),
        empty="pass", end="", words=("and", "or", "not "), truth=("True", "False", "None"), guard="if %s:\n\t%s",
        absent=_kinds("=== !== ..= ++ --"),
    ),
    Language(
        name="c", module="tree_sitter_c", suffixes=(".c", ".h"),
        functions=_kinds("function_definition"),
        containers=_kinds("preproc_ifdef preproc_if linkage_specification"),
        blocks=_kinds("compound_statement"),
        bindings=frozenset({
            ("function_declarator", "declarator"), ("parameter_declaration", "declarator"),
            ("init_declarator", "declarator"), ("declaration", "declarator"), ("pointer_declarator", "declarator"),
            ("array_declarator", "declarator"), ("labeled_statement", "label"),
        }),
        attributes=_C_LIKE,
        integers=_kinds("number_literal"), strings=_kinds("string_literal"),
        constants=_kinds("true false null char_literal"),
        sequences=_kinds("initializer_list"), subscripts=_kinds("subscript_expression"),
        definitions=_kinds(
            "declaration type_definition labeled_statement case_statement preproc_include preproc_def"
        ),
        truth=("1", "0", "NULL"),
    ),
    Language(
        name="javascript", module="tree_sitter_javascript", suffixes=(".js", ".mjs", ".cjs", ".jsx"),
        functions=_kinds("function_declaration method_definition generator_function_declaration"),
        containers=_kinds("class_declaration class_body export_statement"),
        blocks=_kinds("statement_block program"),
        bindings=frozenset({
            ("function_declaration", "name"), ("class_declaration", "name"), ("variable_declarator", "name"),
            ("formal_parameters", ""), ("arrow_function", "parameter"), ("for_in_statement", "left"),
        }),
        attributes=frozenset({("member_expression", "property")}),
        integers=_kinds("number"), strings=_kinds("string"), constants=_kinds("true false null undefined"),
        sequences=_kinds("array object"), subscripts=_kinds("subscript_expression"),
        loops=_kinds("for_statement for_in_statement while_statement do_statement"),
        definitions=_kinds(
            "import_statement export_statement function_declaration class_declaration lexical_declaration"
        ),
        absent=_kinds("// //= ..="),
    ),
    Language(
        name="typescript", module="tree_sitter_typescript", entry="language_typescript",
        suffixes=(".ts", ".mts", ".cts"),
        functions=_kinds("function_declaration method_definition generator_function_declaration"),
        containers=_kinds("class_declaration abstract_class_declaration class_body export_statement internal_module"),
        blocks=_kinds("statement_block program"),
        bindings=frozenset({
            ("function_declaration", "name"), ("variable_declarator", "name"), ("required_parameter", "pattern"),
            ("optional_parameter", "pattern"), ("arrow_function", "parameter"), ("for_in_statement", "left"),
        }),
        attributes=frozenset({("member_expression", "property")}),
        integers=_kinds("number"), strings=_kinds("string"), constants=_kinds("true false null undefined"),
        sequences=_kinds("array object"), subscripts=_kinds("subscript_expression"),
        loops=_kinds("for_statement for_in_statement while_statement do_statement"),
        definitions=_kinds(
            "import_statement export_statement function_declaration class_declaration lexical_declaration "
            "interface_declaration type_alias_declaration enum_declaration"
        ),
        absent=_kinds("// //= ..="),
    ),
    Language(
        name="go", module="tree_sitter_go", suffixes=(".go",),
        functions=_kinds("function_declaration method_declaration"),
        containers=frozenset(),
        blocks=_kinds("statement_list"),
        bindings=frozenset({
            ("function_declaration", "name"), ("parameter_declaration", "name"), ("var_spec", "name"),
            ("const_spec", "name"), ("keyed_element", "key"),
        }),
        attributes=frozenset({("selector_expression", "field")}),
        integers=_kinds("int_literal"), floats=_kinds("float_literal"),
        strings=_kinds("interpreted_string_literal raw_string_literal"), constants=_kinds("true false nil"),
        sequences=_kinds("literal_value"), subscripts=_kinds("index_expression slice_expression"),
        loops=_kinds("for_statement"),
        definitions=_kinds(
            "short_var_declaration var_declaration const_declaration type_declaration labeled_statement"
        ),
        empty="", end="", truth=("true", "false", "nil"), guard="if %s {\n\t%s\n}",
    ),
    Language(
        name="rust", module="tree_sitter_rust", suffixes=(".rs",),
        functions=_kinds("function_item"),
        containers=_kinds("impl_item declaration_list mod_item trait_item"),
        blocks=_kinds("block"),
        bindings=frozenset({
            ("function_item", "name"), ("parameter", "pattern"), ("let_declaration", "pattern"),
            ("for_expression", "pattern"), ("scoped_identifier", "name"), ("scoped_identifier", "path"),
            ("macro_invocation", "macro"), ("token_tree", ""), ("mut_pattern", ""), ("tuple_pattern", ""),
        }),
        attributes=_C_LIKE,
        integers=_kinds("integer_literal"), floats=_kinds("float_literal"), strings=_kinds("string_literal"),
        constants=_kinds("boolean_literal char_literal"), sequences=_kinds("array_expression tuple_expression"),
        subscripts=_kinds("index_expression"),
        loops=_kinds("for_expression while_expression loop_expression"), ifs=_kinds("if_expression"),
        jumps=_kinds("break_expression continue_expression"), returns=_kinds("return_expression"),
        definitions=_kinds("let_declaration use_declaration function_item struct_item impl_item const_item"),
        absent=_kinds("// ** //= === !== ++ --"),
        empty="", truth=("true", "false", "None"), guard="if %s {\n\t%s\n}",
    ),
    Language(
        name="java", module="tree_sitter_java", suffixes=(".java",),
        functions=_kinds("method_declaration constructor_declaration"),
        containers=_kinds("class_declaration class_body enum_declaration interface_declaration record_declaration"),
        blocks=_kinds("block constructor_body"),
        calls=_kinds("method_invocation object_creation_expression"),
        bindings=frozenset({
            ("method_declaration", "name"), ("constructor_declaration", "name"), ("formal_parameter", "name"),
            ("variable_declarator", "name"), ("enhanced_for_statement", "name"), ("catch_formal_parameter", "name"),
            ("method_invocation", "name"), ("labeled_statement", ""),
        }),
        attributes=frozenset({("field_access", "field")}),
        integers=_kinds("decimal_integer_literal"), floats=_kinds("decimal_floating_point_literal"),
        strings=_kinds("string_literal"), constants=_kinds("true false null_literal character_literal"),
        sequences=_kinds("array_initializer"), subscripts=_kinds("array_access"),
        loops=_kinds("for_statement enhanced_for_statement while_statement do_statement"),
        definitions=_kinds("local_variable_declaration class_declaration labeled_statement"),
    ),
)  # fmt: skip


def language_of(path: str) -> Language | None:
    """Return the language a path's suffix stands for, if there is a table for it."""
    return next((language for language in LANGUAGES if path.endswith(language.suffixes)), None)


@cache
def parser(language: Language) -> Parser | None:
    """Return the parser of a language, or None when its grammar's package is not installed."""
    try:
        grammar = importlib.import_module(language.module)
    except ImportError:
        return None
    return Parser(Grammar(getattr(grammar, language.entry)()))
