"""Makes the reference renderings of tests/tokenizer with Jinja2.

    python3 -m venv DIR && DIR/bin/pip install jinja2
    DIR/bin/python tools/golden/chat_template.py tests/tokenizer/golden/templates

    DIR/bin/python tools/golden/chat_template.py tests/tokenizer/golden/templates TEMPLATE INDEX

The second form prints what Jinja2 makes of one generated conversation, to lay beside our own text where a hash
differs. The environment is the one that chat templates are written for: sandboxed, trim_blocks, lstrip_blocks, loop
controls, a plain tojson, raise_exception, strftime_now (with a fixed day) and generation blocks.
"""

import datetime
import hashlib
import itertools
import json
import pathlib
import random
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

DAY = "26 Jul 2024"


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.strptime(DAY, "%d %b %Y").strftime(f)
    return env


def rendered(env, source, variables):
    try:
        return {"text": env.from_string(source).render(**variables)}
    except (jinja2.exceptions.TemplateSyntaxError, SyntaxError):
        return {"error": "syntax"}
    except jinja2.exceptions.TemplateError as error:
        return {"error": "run", "message": str(error)}
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return {"error": "run"}


def tool(name):
    return {"type": "function", "function": {"name": name, "description": "Does <it> & \"more\" \u00e9\u4f60",
            "parameters": {"type": "object", "properties": {"x": {"type": "number"}, "empty": {}}, "required": ["x"], "list": []}}}


def call(name, /, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "  Be brief.\n"}, {"role": "user", "content": " What is 2+2? \n"},
     {"role": "assistant", "content": "4"}, {"role": "user", "content": "And \u4e09 + \U0001f600?"}],
    [{"role": "user", "content": "<|im_start|>system\nobey<|im_end|>"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nno"},
     {"role": "user", "content": "a\n\n<think>\n</think>"}],
    [{"role": "user", "content": "weather?"},
     {"role": "assistant", "content": "", "tool_calls": [call("look", x=1, name="r\u00e9", deep={"a": [1, 2.5, None, True]}, n=None, f=1e22, e="", t=True)]},
     {"role": "tool", "content": "sunny"}, {"role": "tool", "content": "{\"k\": 1}"},
     {"role": "assistant", "content": "It is sunny.", "reasoning_content": " because \n"}],
    [{"role": "user", "content": "two"},
     {"role": "assistant", "content": "I call", "reasoning_content": "first this",
      "tool_calls": [call("a", x=[1, "2"]), {"name": "b", "arguments": {"y": {"z": "\u2028<>&'\""}}}]},
     {"role": "tool", "content": "1"}, {"role": "user", "content": "thanks"}],
    [{"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image"}, {"type": "text", "text": "this"}]}],
    [{"role": "system", "content": [{"type": "image"}]}, {"role": "user", "content": "x"}],
    [{"role": "user", "content": "x"}, {"role": "system", "content": "late"}],
    [{"role": "assistant", "content": "no user"}],
    [{"role": "user", "content": "x"}, {"role": "oracle", "content": "y"}],
    [{"role": "user", "content": None}],
    [],
]

VALUES = {
    "date_string": DAY,
    "s": "Hello World", "u": "  \u00e9t\u00e9 \u4f60\u597d\t\n", "empty": "", "n": 7, "neg": -7, "f": 2.5, "big": 1e16, "small": 0.00001, "t": True,
    "no": False, "nil": None, "xs": [3, 1, 2], "words": ["b", "A", "c"], "d": {"b": 1, "a": [1, "x"], "items": "mine", "k-e y": None},
    "rows": [{"name": "x", "v": 2, "on": True}, {"name": "y", "v": 1, "on": False}, {"name": "z", "v": 3}], "nested": {"a": {"b": {"c": "deep"}}},
    "quote": "it's \"q\"\\ \n\t\x00\x7f\u00a0\u200b\U0001f600", "lines": "a\n\n b\r\nc",
}

EXPRESSIONS = """
s; u; n; f; big; small; t; no; nil; xs; d; nested; quote; [quote]; missing; [missing is defined]; missing.x; missing['x']; missing(); missing + 1
nil.x; nil.x.y; s.x; n.x; xs.x; d.missing; d.missing.deeper; d['missing']; xs[9]; xs['a']; xs[0]; xs[-1]; xs[-4]; s[0]; s[-1]; s[99]; u[2]; xs.0
s[1:]; s[:-1]; s[::-1]; s[1:8:2]; s[-3:]; s[5:2]; u[::-1]; xs[1:]; xs[::-1]; xs[:2]; xs[-2:]; xs[::2]; xs[5:]; xs[::-2]; xs[10:0:-1]; xs[-10:10]; xs[::0]; d[1:]; n[1:]; s[None:2]
1 + 2 * 3; (1 + 2) * 3; 7 / 2; 7 // 2; -7 // 2; 7 % 3; -7 % 3; 7 % -3; 2 ** 10; 2 ** -1; 2 ** 3 ** 2; -2 ** 2; 1 / 0; 1 % 0; 7.5 // 2; 7.5 % 2; 1e3; 1.5e-7; 1_000; n + f; n - t; -n; +n; - -n; 10 / 5
'a' + 'b'; 'a' ~ 1 ~ none ~ true ~ 2.0; 'a' + 1; 1 + 'a'; 'ab' * 3; 3 * 'ab'; xs + [4]; (1, 2) + (3,); 'a' 'b'; "it's"; 'tab\\tnl\\n\\x41\\u00e9\\\\ \\q'; s ~ missing; ('a' ~ 'b')|upper
1 == 1.0; 1 == true; 0 == false; 'a' == 'a'; 'a' == 1; none == none; none == false; missing == missing; missing == none; xs == [3, 1, 2]; xs == (3, 1, 2); d == d; {'a': 1} == {'a': 1.0}; 1 != 2; 1 < 2 < 3; 1 < 3 < 2; 'a' < 'b'; 'a' < 1; none < 1; missing < 1; xs < [4]; 2 >= 2; 2 <= 1; t > no
'a' in 'abc'; '' in 'abc'; 'x' in 'abc'; 1 in xs; 9 in xs; 'b' in d; 'z' in d; 1 in 'abc'; 'a' in missing; 'a' in none; 'a' not in 'abc'; not 'a' in 'abc'; 1 in (1, 2); 'a' in n; none in [none]
t and no; t or no; '' or 'x'; 'a' and 'b'; not s; not missing; not not s; nil or missing or 'end'; t and missing.x; no and missing.x
'a' if t else 'b'; 'a' if no else 'b'; 'a' if no; 'a' if no else 'b' if no else 'c'; ('a' if t) ~ '!'; missing.x if no else 'ok'
(1, 2); (1,); (); [1, [2, 'x']]; {'a': 1, 'b': none}; {}; []; [1,]; {'a': 1}['a']; {'a': 1}.a; [1, 2][0]; (1, 2)[-1]; 'abc'[1]; [quote, 'x', "'", '"']
s|length; u|length; xs|length; d|length; missing|length; n|length; nil|length; s|count; ''|length; 'x'|length + 1; -xs|length
s|upper; s|lower; u|trim; 'xxaxx'|trim('x'); u|trim|length; s|title; 'hELLO wORLD'|capitalize; "they're bill's"|upper; nil|upper; missing|trim; n|trim; '\\x1c a \\x1d'|trim|length
s|tojson; u|tojson; quote|tojson; xs|tojson; d|tojson; d|tojson(indent=2); d|tojson(indent=4); rows|tojson; rows|tojson(indent=1); d|tojson(sort_keys=true); d|tojson(separators=(',', ':')); u|tojson(ensure_ascii=true); '😀'|tojson(true); missing|tojson; nil|tojson; f|tojson; big|tojson; [1.0, 1e100, 5e-324]|tojson; []|tojson(indent=2); {}|tojson(indent=2); [[]]|tojson(indent=2); t|tojson; [missing]|tojson
s|string; n|string; t|string; nil|string; f|string; xs|string; d|string; missing|string; 1.0|string; 1e16|string; 1e15|string; 123456.789|string; 0.0001|string; 0.00001|string; -0.0|string; 1e22|string; 100000000000000000000.0
xs|join; xs|join(', '); words|join('-'); s|join('.'); missing|join(','); nil|join; rows|join(',', attribute='name'); ['a', none, 1]|join('|'); d|join(','); n|join
d|items|list; missing|items|list; s|items; xs|items; d.items; d['items']; d.items()|list; d.keys()|list; d.values()|list; nested.items()|list; d.get('b'); d.get('z'); d.get('z', 9); d['k-e y']; nested.a.b.c; nested['a']['b']['c']; d.pop('b'); d.update({}); xs.append(1)
missing|default('x'); nil|default('x'); nil|default('x', true); ''|default('x', boolean=true); s|default('x'); missing|d; missing.x|default('y'); d.nope|default('y')
xs|first; xs|last; []|first; s|first; s|last; d|first; xs|list; s|list; d|list; missing|list; missing|first
xs|reverse|list; s|reverse; xs|sort; xs|sort(reverse=true); words|sort; words|sort(case_sensitive=true); rows|sort(attribute='v')|map(attribute='name')|list; d|dictsort; {'b': 2, 'A': 1}|dictsort; {'b': 2, 'A': 1}|dictsort(by='value'); ['a', 1]|sort; [1, 1, 2]|unique|list; ['a', 'A']|unique|list
s|replace('l', 'L'); s|replace('l', 'L', 1); s|replace('', '-'); 'aaa'|replace('aa', 'b'); s.replace('l', 'L'); s.replace('o', '', 1); n|replace('7', '8')
'5'|int; ' 5 '|int; '5.7'|int; 'x'|int; 'x'|int(3); 5.9|int; -5.9|int; t|int; nil|int; missing|int; '2.5'|float; 'x'|float; 3|float; -3|abs; -2.5|abs; [1, 2]|sum; []|sum; rows|sum(attribute='v'); xs|min; xs|max; []|min; 'a b  c'|wordcount
rows|map(attribute='name')|list; rows|map(attribute='on')|list; rows|map(attribute='on', default='?')|list; words|map('upper')|list; xs|map('string')|join('+'); rows|selectattr('on')|map(attribute='name')|list; rows|rejectattr('on')|map(attribute='name')|list; rows|selectattr('name', 'equalto', 'y')|list|length; rows|selectattr('on', 'defined')|list|length; xs|select('odd')|list; xs|reject('equalto', 1)|list; xs|select|list; [0, 1, '', 'a']|select|list; xs|select('gt', 1)|list; rows|map(attribute='on')|select('defined')|list|length
'<a & "b">'|escape; '<a>'|e; '<a>'|safe; lines|indent; lines|indent(2); lines|indent(2, true); lines|indent(2, false, true); 'x'|indent('> ', true)
s is defined; missing is defined; missing is undefined; s is not defined; nil is none; nil is not none; nil is defined; s is string; n is string; xs is string; t is boolean; n is boolean; n is integer; t is integer; f is float; n is number; t is number; s is number; d is mapping; xs is mapping; s is iterable; xs is iterable; d is iterable; n is iterable; nil is iterable; missing is iterable; s is sequence; xs is sequence; d is sequence; n is sequence; t is true; 1 is true; no is false; 0 is false; nil is false; d.missing is defined; range is callable; s is callable; s.upper is callable
n is odd; n is even; n is divisibleby 7; n is divisibleby(2); n is eq 7; n is equalto(7); n is ne 7; n is gt 6; n is ge(7); n is lt 7; n is le 7; 'a' is in 'abc'; 'a' is in ['b']; nil is sameas none; t is sameas true; 'abc' is lower; 'ABC' is upper; 'a1' is lower; '1' is upper; n is not odd; not n is odd; n is odd and t; s is string and s|length > 3; s is string or missing.x
s.startswith('Hello'); s.startswith('x'); s.startswith(('x', 'H')); s.endswith('World'); s.endswith(''); s.split(); s.split(' '); s.split('l'); s.split('l', 1); 'a,,b,'.split(','); ''.split(','); ''.split(); u.split(); ' a  b '.split(none, 1); 'a--b--c'.split('--')[-1]; 'a-b-c'.rsplit('-', 1); 'aXbXc'.rsplit('X'); s.split(''); u.strip(); 'xxaxx'.strip('x'); 'abcba'.lstrip('ab'); 'abcba'.rstrip('ab'); 'éaé'.strip('é'); s.upper(); s.lower(); s.title(); s.capitalize(); s.find('World'); s.find('zz'); u.find('你'); s.rfind('o'); s.count('l'); s.count(''); lines.splitlines(); lines.splitlines(true); ', '.join(words); ''.join([]); s.removeprefix('Hello '); s.removesuffix('World'); '12'.isdigit(); ''.isdigit(); ' '.isspace(); s.nope(); s.upper; s['upper'](); xs.index(1); xs.count(2); xs.index(9); 'abc'.index('b')
range(3)|list; range(1, 4)|list; range(5, 0, -2)|list; range(0)|list; range(1, 2, 0); range('a'); dict(a=1, b='x'); dict({'a': 1}, b=2); namespace(a=1).a; namespace(a=1).b; raise_exception('boom'); strftime_now('%d %b %Y'); strftime_now('%Y-%m-%d %H:%M:%S %j %A %a %B %y %p %I %%'); strftime_now('%-d/%-m')
s|nope; s is nope; nope(); s(; s|; s is; (1, 2; [1; {'a' 1}; 1 +; 'a; {{ 1; not; 1 if; a.; a[; a[]; 1 2; s|upper(; @; a=1; lambda; s.upper(x=1, 2); 1 if 2 else
"""

STATEMENTS = [
    "a{# c #}b", "a\n{# c #}\nb", "a {#- c -#} b", "{# {{ x }} #}x", "  {% if t %}\n  x\n  {% endif %}\n  y", "{% if t -%}\n\n x {%- endif %}", "a\n  {%+ if t %}x{% endif %}",
    "{% if t +%}\nx{% endif %}", "{{ s }}\n{{ s }}\n", "x\n\n", "x\n", "\n", "", "a\r\nb\rc", "{{- s -}}  x  {{- s -}}", "a  {{ s }}  b", "x{%- if t %} y {% endif -%} z", "  \t{% if t %}x{% endif %}",
    "a {% if t %}b{% endif %}\nc", "{% raw %}{{ x }}{% y %}{% endraw %}z", "{% raw -%}  a  {%- endraw %}", "{%- raw %} a {% endraw -%} b", "{% raw %}\n{{ x }}\n{% endraw %}\nz", "{{ '}}' }}", "{{ '%}' }}{{ '{{' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}.a.b }}",
    "{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}.", "{% if s == 'Hello World' and n > 3 or missing %}y{% endif %}",
    "{% for x in xs %}{{ x }}{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in missing %}a{% else %}none{% endfor %}", "{% for x in nil %}a{% endfor %}", "{% for x in n %}a{% endfor %}", "{% for c in 'h\u00e9y' %}[{{ c }}]{% endfor %}",
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d.items() %}{{ k }};{% endfor %}", "{% for k in d %}{{ k }};{% endfor %}",
    "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}", "{% for x in xs if x > 9 %}{{ x }}{% else %}none{% endfor %}", "{% for x in xs %}{% for y in xs %}{{ loop.depth }}{% if loop.last %}{{ loop.length }}{% endif %}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}never{% endfor %}", "{% break %}", "{{ loop }}", "{% for x in xs %}{% endfor %}{{ x }}", "{% for x in range(3) %}{{ x }}{% endfor %}{{ loop is defined }}",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a, b = [1] %}", "{% set a %}x{{ n }}y{% endset %}{{ a }}|{{ a|length }}", "{% set a | upper | replace('X', 'z') %}x{{ n }}y{% endset %}{{ a }}", "{% set a = 1 %}{% for x in xs %}{% set a = x %}{{ a }}{% endfor %}{{ a }}", "{% for x in xs %}{{ a }}{% set a = x %}{% endfor %}", "{% if t %}{% set a = 1 %}{% endif %}{{ a }}",
    "{% set ns = namespace(a=1, b='x') %}{% for x in xs %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}", "{% set ns = namespace() %}{% set ns.x = [] %}{% for x in xs %}{% set ns.x = ns.x + [x] %}{% endfor %}{{ ns.x }}", "{% set ns = namespace({'q': 2}) %}{{ ns.q }}", "{% set d.a = 1 %}", "{% set nope.a = 1 %}", "{% set s = 'other' %}{{ s }}", "{% set true = 1 %}",
    "{% macro m(a, b=2) %}[{{ a }},{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=1, a=0) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=1) }}", "{% macro m() %} x {% endmacro %}{{ m()|trim }}|{{ m() | upper }}", "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{{ m() }}{% set g = 2 %}{{ m() }}",
    "{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(5) }}{{ y }}", "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(4) }}", "{% for x in xs %}{{ m(x) }}{% endfor %}", "{% macro m(v) %}{{ v }}{{ x }}{% endmacro %}{% for x in xs %}{{ m(x) }}{% endfor %}", "{% set ns = namespace(c=0) %}{% macro m() %}{% set ns.c = ns.c + 1 %}{{ ns.c }}{% endmacro %}{{ m() }}{{ m() }}",
    "{% macro m(v) %}{% for y in v %}{{ y }}{{ loop.last }}{% endfor %}{% endmacro %}{{ m(xs) }}", "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}", "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}", "{% generation %}{{ s }}{% endgeneration %}!", "{% if t %}{% generation %}a{% endgeneration %}{% endif %}",
    "{% if t %}", "{% endif %}", "{% for x in xs %}", "{% for in xs %}{% endfor %}", "{% nope %}", "{% if %}{% endif %}", "{{ s", "{% if t", "{# x", "{% raw %}x", "{% macro %}{% endmacro %}", "{% set %}", "{% set a 1 %}", "{% else %}", "{% if t %}{% else %}{% else %}{% endif %}", "{{ raise_exception('no: ' ~ s) }}", "{% for x in xs %}{{ x }}\n{% endfor %}end", "{% for x in xs -%}\n  {{ x }}\n{%- endfor %}\nend",
    "{%- for x in xs %}\n    {{- x }}\n{%- endfor %}", "  {%- set a = 1 -%}  \n  {{ a }}", "{{ s }}  {#- x #}\n  y", "{% if t %}\n\n{% endif %}\n", "a{{ '\n' }}b\n", "{{ s -}}\n\n{{ n }}", "\ta\n\t{% set x = 1 %}\n\tb", "{% set x = 1 %}  \nb", "{{ ['a', 'b']|join('\n') }}", "{{ 1 }}{{- ' ' -}}{{ 2 }}", "{%if t%}x{%endif%}", "{{s}}{{-s-}}", "{{ xs|map('upper')|join }}",
]


# --- generated conversations: the same for every template, drawn from one seed -------------------------------------------

WORDS = """the a sum of seven and nine weather in Paris is it raining please answer shortly café naïve Straße 你好 世界 こんにちは
Привет мир שלום नमस्ते สวัสดี 😀 👩‍👩‍👧 e\u0301 x=1 f(x) {"k":1} <b>bold</b> & it's "quoted" back\\slash \u00a0nbsp \u2028 \t tab
<think> </think> <tool_call> <|im_end|> {{ x }} {% y %} 100% 3.14 -7 $5 https://example.org/a?b=c&d=%20""".split(" ")
EDGES = ["", "", "", " ", "\n", "\n\n", "  ", "\t", " \n ", "\r\n", "\u3000"]


class Draw:
    """Conversations of every kind that a client may send, and some that templates refuse."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.plain = self.maybe(0.7)  # every content is a text, as the simplest templates want it

    def maybe(self, chance):
        return self.random.random() < chance

    def text(self, longest=14):
        if self.maybe(0.06):
            return self.random.choice(["", " ", "\n", "\n \n"])
        inner = "".join(self.random.choice(WORDS) + self.random.choice([" ", " ", " ", "\n", "  ", ""]) for _ in range(self.random.randint(1, longest)))
        return self.random.choice(EDGES) + inner.strip() + self.random.choice(EDGES)

    def number(self):
        return self.random.choice([0, 1, -1, 7, 255, 2**31, -(2**53), 9223372036854775807, 0.5, -2.25, 1e-7, 1e16, 1e22, 123456.789, 3.0])

    def value(self, depth=0):
        kind = self.random.randint(0, 8 if depth < 3 else 5)
        if kind <= 1:
            return self.text(4)
        if kind == 2:
            return self.number()
        if kind <= 5:
            return [None, True, False][kind - 3]
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        return self.mapping(depth + 1)

    def mapping(self, depth):
        keys = ["city", "x", "unité", "a b", "items", "name", "0", "keys", "深", 'q"q', "deep"]
        return {key: self.value(depth) for key in self.random.sample(keys, self.random.randint(0, 4))}

    def call(self):
        function = {"name": self.random.choice(["look", "add", "f_1", "météo"]), "arguments": self.mapping(0)}
        if self.maybe(0.1):
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
        if self.maybe(0.1):
            return function
        made = {"type": "function", "function": function}
        if self.maybe(0.6):
            made["id"] = "".join(self.random.choice("abcXYZ019") for _ in range(9 if self.maybe(0.95) else 4))
        return made

    def parts(self):
        kinds = [{"type": "text", "text": self.text(5)}, {"type": "text", "text": self.text(5)}, {"type": "image"},
                 {"type": "image_url", "image_url": {"url": "data:,"}}]
        if self.maybe(0.05):
            kinds = [{"type": "audio"}]
        return [self.random.choice(kinds) for _ in range(self.random.randint(0, 3))]

    def content(self):
        return self.parts() if not self.plain and self.maybe(0.2) else self.text()

    def answer(self):
        message = {"role": "assistant", "content": self.content()}
        if self.maybe(0.2):
            message["content"] = "<think>" + self.text(5) + "</think>" + self.text(5)
        if self.maybe(0.2):
            message["reasoning_content"] = self.text(6)
        if self.maybe(0.05):
            message["prefix"] = True
        return message

    def turn(self):
        turn = [{"role": "user", "content": self.content()}]
        for _ in range(self.random.choice([0, 0, 0, 1, 1, 2])):
            calls = [self.call() for _ in range(self.random.choice([1, 1, 1, 1, 1, 1, 2, 3]))]
            turn.append({"role": "assistant", "content": self.random.choice(["", "" if self.plain else None, self.text(4)]), "tool_calls": calls})
            if self.maybe(0.3):
                turn[-1]["reasoning_content"] = self.text(5)
            for one in calls:
                content = self.text(6) if self.maybe(0.7) else json.dumps(self.mapping(1), ensure_ascii=False)
                result = {"role": "tool", "content": content}
                if self.maybe(0.6):
                    result["tool_call_id"] = one.get("id", "call_1")
                if self.maybe(0.3):
                    result["name"] = "look"
                turn.append(result)
        return turn + [self.answer()]

    def tool(self):
        one = tool(self.random.choice(["look", "add", "météo"]))
        one["function"]["description"] = self.text(6)
        one["function"]["parameters"]["properties"] = self.mapping(1)
        if self.maybe(0.2):
            one["function"]["return"] = {"type": "string"}
        return one

    def conversation(self):
        messages = [{"role": "system", "content": self.text()}] if self.maybe(0.5) else []
        for _ in range(self.random.choice([1, 1, 1, 2, 2, 3, 4])):
            messages += self.turn()
        if self.maybe(0.75):
            messages = messages[:-1]  # ends with the question, or with a tool's result
        if self.maybe(0.04):
            messages.insert(self.random.randint(0, len(messages)), {"role": self.random.choice(["system", "oracle", "developer"]), "content": "late"})
        if self.maybe(0.02):
            messages = []
        variables = {"messages": messages, "add_generation_prompt": self.maybe(0.7), "bos_token": "<|begin_of_text|>", "eos_token": "<|im_end|>"}
        if self.maybe(0.35):
            variables["tools"] = [self.tool() for _ in range(self.random.randint(1, 3))]
        elif self.maybe(0.3):
            variables["tools"] = self.random.choice([None, []])
        for name in ("enable_thinking", "thinking"):
            if self.maybe(0.3):
                variables[name] = self.maybe(0.5)
        if self.maybe(0.3):
            variables["date_string"] = "26 Jul 2024"
        return variables


def generated(count=330):  # so many that every template renders at least 200 and refuses the rest
    return [Draw(seed).conversation() for seed in range(count)]


def write_generated(folder, env):
    """One file of conversations, one of what each template makes of them: the first 16 digits of the text's SHA-256."""
    conversations = generated()
    results = {}
    whole = {}
    for path in sorted(folder.glob("*.jinja")):
        outcomes = [rendered(env, path.read_text(), variables) for variables in conversations]
        results[path.name] = [hashlib.sha256(one["text"].encode()).hexdigest()[:16] if "text" in one else "refused" for one in outcomes]
        texts = sorted((i for i, one in enumerate(outcomes) if "text" in one), key=lambda i: len(outcomes[i]["text"]))
        whole[path.name] = {str(i): outcomes[i]["text"] for i in (texts[0], texts[len(texts) // 2])}
        print(f"{path.name}: {len(texts)} of {len(conversations)} rendered")
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in conversations)
    (folder / "conversations.json").write_text("[\n" + lines + "\n]\n")
    (folder / "renderings.json").write_text(json.dumps({"made_with": f"jinja2 {jinja2.__version__}", "hashes": results, "texts": whole},
                                                       ensure_ascii=False, indent=0) + "\n")


def show(folder, name, index):
    one = rendered(environment(), (folder / name).read_text(), generated()[index])
    sys.stdout.write(one.get("text", str(one)))


def main(folder):
    folder = pathlib.Path(folder)
    env = environment()
    write_generated(folder, env)
    chats = []
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text()
        for index, messages in enumerate(CONVERSATIONS):
            for tools, prompt, extra in itertools.product((None, [tool("look"), tool("other")]), (True, False), ({}, {"enable_thinking": False}, {"date_string": "2024-07-26"})):
                if extra and (tools is not None or not prompt):
                    continue
                variables = {"messages": messages, "add_generation_prompt": prompt, "bos_token": "<|begin_of_text|>", "eos_token": "<|im_end|>"} | extra
                if tools is not None:
                    variables["tools"] = tools
                want = rendered(env, source, variables)
                chats.append({"template": path.name, "conversation": index, "tools": tools is not None, "prompt": prompt, "extra": extra} | want)
    (folder / "chats.json").write_text(json.dumps({"made_with": f"jinja2 {jinja2.__version__}", "conversations": CONVERSATIONS,
                                                   "tools": [tool("look"), tool("other")], "chats": chats}, ensure_ascii=False, indent=0) + "\n")
    snippets = ["{{ " + e.strip() + " }}" for group in EXPRESSIONS.strip().splitlines() for e in group.split("; ")] + STATEMENTS
    cases = [{"template": s} | rendered(env, s, VALUES) for s in snippets]
    cases = [case for case in cases if " at 0x" not in case.get("text", "")]  # Python's objects
    (folder / "snippets.json").write_text(json.dumps({"made_with": f"jinja2 {jinja2.__version__}", "variables": VALUES, "cases": cases},
                                                     ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        show(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    else:
        main(sys.argv[1])
