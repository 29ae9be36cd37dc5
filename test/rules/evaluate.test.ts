import { describe, expect, test } from "vitest";
import { Budget, compile, lazyRecord } from "../../src/core/rules/cel/cel.ts";
import { CelError } from "../../src/core/rules/cel/values.ts";
import { result, run, untyped } from "./running.ts";

const OBJECT = {
  object: {
    a: { b: { c: 1 } },
    l: [1, 2, 3],
    n: null,
    s: "hello",
    m: { x: 1, y: 2 },
    d: 1.5,
    t: true,
  },
  x: 5,
  y: "k",
};

/** Results and errors that the CEL environment of Kubernetes 1.36.3 gave for the same expressions and the same object. */
describe("as the API server evaluates", () => {
  test.each([
    ["1", "1"],
    ["x", "5"],
    ["object.a", "{b: {c: 1}}"],
    ["object.a.b.c", "1"],
    ["has(object.a)", "true"],
    ["has(object.a.b.c)", "true"],
    ["has(object.zz)", "false"],
    ["object.l[0]", "1"],
    ["object.l[x - 4]", "2"],
    ["object.m[y]", "error: no such key: k"],
    ["object[?'a']", "optional.of({b: {c: 1}})"],
    ["object.?a.b", "optional.of({c: 1})"],
    ["object.?zz.b.orValue(3)", "3"],
    ["object.a.?b", "optional.of({c: 1})"],
    ["object.a.b.c == 1", "true"],
    ["object.s == 'hello'", "true"],
    ["object.s == 'hello world'", "false"],
    ["x + 1", "6"],
    ["[1,2,3]", "[1, 2, 3]"],
    ["{'a': 1}", "{a: 1}"],
    ["{'a': x}", "{a: 5}"],
    ["[]", "[]"],
    ["object.l.all(e, true)", "true"],
    ["object.l.all(e, e > 0)", "true"],
    ["object.l.all(e, e > 1)", "false"],
    ["[].all(e, e > 0)", "true"],
    ["object.l.exists(e, e > 5)", "false"],
    ["object.l.exists(e, e == 1)", "true"],
    ["object.l.exists_one(e, e == 1)", "true"],
    ["object.l.map(e, e)", "[1, 2, 3]"],
    ["object.l.map(e, e * 2)", "[2, 4, 6]"],
    ["object.l.map(e, e > 1, e * 2)", "[4, 6]"],
    ["object.l.filter(e, e > 1)", "[2, 3]"],
    ["object.m.all(k, k != 'z')", "true"],
    ["object.m.all(k, v, v > 0)", "true"],
    ["object.l.transformList(i, v, v)", "[1, 2, 3]"],
    ["object.l.transformMap(i, v, v)", "{0: 1, 1: 2, 2: 3}"],
    ["object.m.transformMapEntry(k, v, {v: k})", "{1: x, 2: y}"],
    ["object.l.existsOne(i, v, v == 1)", "true"],
    ["true && false", "false"],
    ["object.t && object.t", "true"],
    ["object.t ? 1 : 2", "1"],
    ["object.t ? object.a : object.s", "{b: {c: 1}}"],
    ["(object.t ? object.a : object.s).b", "{c: 1}"],
    ["size(object.l)", "3"],
    ["object.l.size()", "3"],
    ["'a' in object.m", "false"],
    ["2 in object.l", "true"],
    ["2 in [1,2,3]", "true"],
    ["x in [1,2,3]", "false"],
    ["type(x)", "int"],
    ["type(x) == int", "true"],
    ["string(x)", "5"],
    ["int('3')", "3"],
    ["int(y)", "error: type conversion error from 'string' to 'int'"],
    ["object.s.matches('h.*o')", "true"],
    ["object.s.matches(y)", "false"],
    ["object.s.startsWith('he')", "true"],
    ["object.s.contains('ell')", "true"],
    ["object.s + ' world'", "hello world"],
    ["object.l + [1]", "[1, 2, 3, 1]"],
    ["!object.t", "false"],
    ["-x", "-5"],
    ["optional.of(x)", "optional.of(5)"],
    ["optional.of(x).hasValue()", "true"],
    ["optional.none().orValue(1)", "1"],
    ["optional.of(x).optMap(v, v + 1)", "optional.of(6)"],
    ["object.?a.optMap(v, v.b)", "optional.of({c: 1})"],
    ["optional.of(x).or(optional.of(3)).value()", "5"],
    ["timestamp('2024-01-01T00:00:00Z')", "2024-01-01T00:00:00Z"],
    ["timestamp('2024-01-01T00:00:00Z').getFullYear()", "2024"],
    ["duration('1h')", "3600s"],
    ["object.l == [1,2,3]", "true"],
    ["object.l == object.l", "true"],
    ["object.m == object.m", "true"],
    ["object.a == object.s", "false"],
    ["dyn(x)", "5"],
    ["size('hello')", "5"],
    ["'hello'.size()", "5"],
    ["b'abc' < b'abd'", "true"],
    ["'abc' < 'abd'", "true"],
    ["x < 3", "false"],
    ["x == 3", "false"],
    ["x == 3.0", "false"],
    ["object.n == null", "true"],
    ["object.n != null", "false"],
    ["object.l[0] == 1", "true"],
    ["object.l.map(e, object.l.map(f, f))", "[[1, 2, 3], [1, 2, 3], [1, 2, 3]]"],
    ["[x][0]", "5"],
    ["{'a': x}.a", "5"],
    ["{'a': x}['a']", "5"],
    ["string(x).size()", "1"],
    ["dyn([1,2])[0]", "1"],
    ["object.n.foo", "error: no such key: foo"],
    ["object.s.foo", "error: no such key: foo"],
    ["x.foo", "error: no such key: foo"],
    ["object.l.foo", "error: unsupported index type 'string' in list"],
    ["object.d.foo", "error: no such key: foo"],
    ["object.t.foo", "error: no such key: foo"],
    ["has(object.n.foo)", "false"],
    ["has(object.s.foo)", "false"],
    ["has(x.foo)", "false"],
    ["has(object.l.foo)", "error: unsupported index type 'string' in list"],
    ["object.?n.foo", "optional.none()"],
    ["object.n.?foo", "optional.none()"],
    ["object.s.?foo", "optional.none()"],
    ["x[0]", "error: no such key: 0"],
    ["object.n[0]", "error: no such key: 0"],
    ["object.s[0]", "error: no such key: 0"],
    ["object.l['a']", "error: unsupported index type 'string' in list"],
    ["object.l[1.0]", "2"],
    ["object.l[1.5]", "error: unsupported index value 1.5 in list"],
    ["object.l[1u]", "2"],
    ["object.l[3]", "error: index out of bounds: 3"],
    ["object.l[-1]", "error: index out of bounds: -1"],
    ["object.l[true]", "error: unsupported index type 'bool' in list"],
    ["object.m['zz']", "error: no such key: zz"],
    ["object.m[1]", "error: no such key: 1"],
    ["object.m[1.5]", "error: no such key: 1.5"],
    ["object.l[?'a']", "error: unsupported index type 'string' in list"],
    ["object.l[?7]", "optional.none()"],
    ["object.l[?1.0]", "optional.of(2)"],
    ["object.m[?1]", "optional.none()"],
    ["object.n + 1", "error: no such overload: _+_"],
    ["x + 'a'", "error: no such overload"],
    ["x + 1.0", "error: no such overload"],
    ["x < 'a'", "error: no such overload"],
    ["x < object.n", "error: no such overload"],
    ["object.n < object.n", "error: no such overload: _<_"],
    ["object.l < object.l", "error: no such overload: _<_"],
    ["x / 0", "error: division by zero"],
    ["x % 0", "error: modulus by zero"],
    ["1 / 0", "error: division by zero"],
    ["1.0 / 0.0", "+Inf"],
    ["9223372036854775807 + x", "error: integer overflow"],
    ["9223372036854775807 * x", "error: integer overflow"],
    ["-9223372036854775807 - x", "error: integer overflow"],
    ["-(-9223372036854775807 - 1)", "error: integer overflow"],
    ["uint(x) - 6u", "error: unsigned integer overflow"],
    ["18446744073709551615u + uint(x)", "error: unsigned integer overflow"],
    ["18446744073709551615u * uint(x)", "error: unsigned integer overflow"],
    ["uint(x) / 0u", "error: division by zero"],
    ["uint(x) % 0u", "error: modulus by zero"],
    ["x && true", "error: no such overload"],
    ["true && x", "error: no such overload"],
    ["x && false", "false"],
    ["x || true", "true"],
    ["false || x", "error: no such overload"],
    ["x ? 1 : 2", "error: no such overload"],
    ["!x", "error: no such overload"],
    ["object.n.all(e, true)", "error: got 'types.Null', expected iterable type"],
    ["object.s.all(e, true)", "error: got 'types.String', expected iterable type"],
    ["x.all(e, true)", "error: got 'types.Int', expected iterable type"],
    ["object.d.map(e, e)", "error: got 'types.Double', expected iterable type"],
    ["object.t.filter(e, true)", "error: got 'types.Bool', expected iterable type"],
    ["object.l.all(e, e)", "error: no such overload"],
    ["object.l.filter(e, e)", "error: no such overload"],
    ["object.l.exists_one(e, e)", "error: no such overload"],
    ["object.l.map(e, e, e)", "error: no such overload"],
    ["1 in object.n", "error: no such overload"],
    ["1 in object.s", "error: no such overload"],
    ["'a' in object.s", "error: no such overload"],
    ["1 in object.m", "false"],
    ["b'a' in object.m", "false"],
    ["b'a' in {'a': x}", "error: internal error: runtime error: hash of unhashable type types.Bytes"],
    ["size(object.n)", "error: no such overload: size"],
    ["size(x)", "error: no such overload: size"],
    ["x.size()", "error: no such overload: size"],
    ["x.startsWith('a')", "error: no such overload"],
    ["object.s.startsWith(x)", "error: no such overload"],
    ["object.n.startsWith('a')", "error: no such overload"],
    ["object.s.matches(x)", "error: no such overload"],
    ["object.s.matches('(' + y)", "error: error parsing regexp: missing closing ): `(k`"],
    ["int('abc' + y)", "error: type conversion error from 'string' to 'int'"],
    ["int(object.d)", "1"],
    ["int(1e30 * object.d)", "error: integer overflow"],
    ["int(object.n)", "error: no such overload: int(null_type)"],
    ["int(object.l)", "error: no such overload: int(list)"],
    ["uint(-1 * x)", "error: unsigned integer overflow"],
    ["uint(-1.5 * object.d)", "error: unsigned integer overflow"],
    ["double('abc' + y)", "error: type conversion error from 'string' to 'double'"],
    ["bool('abc' + y)", "error: type conversion error from 'string' to 'bool'"],
    ["bool(x)", "error: no such overload: bool(int)"],
    ["string(object.n)", "error: no such overload: string(null_type)"],
    ["string(object.l)", "error: no such overload: string(list)"],
    ["string(object.d)", "1.5"],
    ["string(1e30 * object.d)", "1.5000000000000002e+30"],
    ["string(0.000001 * object.d)", "1.5e-06"],
    ["bytes(x)", "error: no such overload: bytes(int)"],
    ["timestamp('abc' + y)", "error: type conversion error from 'string' to 'google.protobuf.Timestamp'"],
    ["timestamp(object.n)", "error: no such overload: timestamp(null_type)"],
    ["duration('abc' + y)", "error: type conversion error from 'string' to 'google.protobuf.Duration'"],
    ["duration('1' + y)", "error: type conversion error from 'string' to 'google.protobuf.Duration'"],
    ["duration(x)", "error: type conversion error from 'int' to 'google.protobuf.Duration'"],
    ["duration(object.n)", "error: no such overload: duration(null_type)"],
    ["timestamp('2024-01-01T00:00:00Z').getHours('Foo/' + y)", "error: unknown time zone Foo/k"],
    ["timestamp('2024-01-01T00:00:00Z').getHours('+25:00')", "1"],
    ["timestamp('2024-01-01T00:00:00Z').getHours('ab:cd')", 'error: strconv.Atoi: parsing "ab": invalid syntax'],
    ["timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error: timestamp overflow"],
    ["timestamp('0001-01-01T00:00:00Z') - duration('1s')", "error: timestamp overflow"],
    ["timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')", "error: integer overflow"],
    ["duration('2562047h') + duration('2562047h')", "error: integer overflow"],
    ["object.s - 1", "error: no such overload"],
    ["-object.s", "error: no such overload"],
    ["object.s * 2", "error: no such overload"],
    ["object.foo.bar", "error: no such key: foo"],
    ["[?optional.of(x), ?optional.none()]", "[5]"],
    ["{?'a': optional.none()}", "{}"],
    ["optional.none().value()", "error: optional.none() dereference"],
    ["optional.of(x).foo", "optional.none()"],
    ["optional.ofNonZeroValue(0)", "optional.none()"],
    ["optional.ofNonZeroValue('')", "optional.none()"],
    ["optional.ofNonZeroValue(object.n)", "optional.none()"],
    ["optional.of(object.n).hasValue()", "true"],
    ["object.l.transformMap(i, v, v)[0]", "1"],
    ["object.l.transformMapEntry(i, v, {'a': v})", "error: insert failed: key a already exists"],
    ["object.l.transformMapEntry(i, v, v)", "error: no such overload: cel.@mapInsert(map, int)"],
    ["object.d < 0.0/0.0", "error: NaN values cannot be ordered"],
    ["x < 0.0/0.0", "error: NaN values cannot be ordered"],
    ["string(b'\\xff')", "error: invalid UTF-8 in bytes, cannot convert to string"],
    ["type(object.l) == list", "true"],
    ["type(object.n)", "null_type"],
    ["type(type(x))", "type"],
    ["type(optional.of(x))", "optional_type"],
    ["type(timestamp('2024-01-01T00:00:00Z'))", "google.protobuf.Timestamp"],
    ["type(duration('1s')) == google.protobuf.Duration", "true"],
    ["object == {}", "false"],
    ["optional.of(1) == optional.of(1)", "true"],
    ["optional.of(x) != optional.none()", "true"],
    ["object.l.value()", "error: no such overload: value(list)"],
    ["object.s.hasValue()", "error: no such overload: hasValue(string)"],
    ["optional.of({'a':1}).a", "optional.of(1)"],
    ["optional.of([1])[0]", "optional.of(1)"],
    ["optional.of(x)[0]", "optional.none()"],
    ["object.l.getHours()", "error: no such overload: getHours(list)"],
    ["object.l + object.m", "error: no such overload"],
    ["object.l + 1", "error: no such overload"],
    ["string(duration('1h30m'))", "5400s"],
    ["string(duration('1.5s'))", "1.5s"],
    ["string(duration('100ns'))", "0.0000001s"],
    ["string(timestamp('2024-01-01T00:00:00.123456789Z'))", "2024-01-01T00:00:00.123456789Z"],
    ["timestamp('2024-01-01T00:00:00+01:00')", "2024-01-01T00:00:00+01:00"],
    ["duration('0')", "0s"],
    ["duration('+1h')", "3600s"],
    ["duration('-.5s')", "-0.5s"],
    ["duration('1.h')", "3600s"],
    ["duration('1h1h')", "7200s"],
    ["duration('1us1µs1μs')", "0.000003s"],
    ["double('1_0')", "10.0"],
    ["double('0x1p-2')", "0.25"],
    ["double('Inf')", "+Inf"],
    ["double('-infinity')", "-Inf"],
    ["double('nan')", "NaN"],
    ["double(' 1')", "error: type conversion error from 'string' to 'double'"],
    ["double('1e400')", "error: type conversion error from 'string' to 'double'"],
    ["int('+5')", "5"],
    ["int(' 5')", "error: type conversion error from 'string' to 'int'"],
    ["int('0x10')", "error: type conversion error from 'string' to 'int'"],
    ["int('1_0')", "error: type conversion error from 'string' to 'int'"],
    ["uint('5u')", "error: type conversion error from 'string' to 'uint'"],
    ["bool('T')", "true"],
    ["bool('yes')", "error: type conversion error from 'string' to 'bool'"],
    ["bool('tRUE')", "error: type conversion error from 'string' to 'bool'"],
  ])("%s", (text, expected) => {
    expect(result(text, OBJECT)).toBe(expected);
  });
});

describe("JSON as it comes", () => {
  test.each([
    ["whole numbers are int", "[type(v.whole), type(v.exact)]", "[int, int]"],
    ["others are double", "[type(v.part), type(v.huge)]", "[double, double]"],
    ["beyond 2^53 from the exact decoder", "v.exact + 1", "9007199254740994"],
    ["a double without fraction stays one in a list", "[v.part * 2.0][0]", "3.0"],
    ["a null field is there", "has(v.none) && v.none == null", "true"],
    ["an absent one is not", "has(v.absent)", "false"],
    ["a key that every object inherits", "has(v.toString) || 'constructor' in v", "false"],
    ["the same as a field", "v.constructor", "error: no such key: constructor"],
    ["a prototype is out of reach", "v.__proto__", "error: no such key: __proto__"],
    ["unless it is a key", "w.__proto__ + w['constructor'] + w.?hasOwnProperty.orValue(0)", "6"],
    ["keys that look like the evaluator's own", "v.fake.isCelMap && v.fake.opaque == 'x' && size(v.fake) == 2", "true"],
    ["equal to a map of an expression", "v.fake == {'isCelMap': true, 'opaque': 'x'}", "true"],
  ])("%s", (_, text, expected) => {
    const v = {
      whole: 1,
      exact: 9007199254740993n,
      part: 1.5,
      huge: 1e30,
      none: null,
      fake: { isCelMap: true, opaque: "x" },
    };
    const w: unknown = JSON.parse('{"__proto__": 1, "constructor": 2, "hasOwnProperty": 3}');
    expect(result(text, { v, w })).toBe(expected);
  });

  test("text is counted by code points", () => {
    expect(result("size(t)", { t: "a😀b" })).toBe("3");
    expect(result("t < u", { t: "\ufb01", u: "😀" })).toBe("true");
  });
});

describe("time zones", () => {
  test.each([
    ["timestamp('2024-07-01T00:30:00Z').getHours('Europe/Berlin')", "2"],
    ["timestamp('2024-01-01T00:30:00Z').getHours('Europe/Berlin')", "1"],
    ["timestamp('2024-01-01T00:30:00Z').getFullYear('America/New_York')", "2023"],
    ["timestamp('2024-01-01T00:30:00Z').getDayOfYear('-00:31')", "364"],
    ["timestamp('1900-01-01T00:00:00.5Z').getMilliseconds('Asia/Tokyo')", "500"],
    ["timestamp('2024-01-01T00:00:00Z').getHours('Nowhere/Else')", "error: unknown time zone Nowhere/Else"],
  ])("%s", (text, expected) => {
    expect(result(text, {})).toBe(expected);
  });
});

describe("lazy variables", () => {
  test("a member is evaluated at most once in all runs, and only if it is needed", () => {
    const counts = { used: 0, unused: 0 };
    const variables = lazyRecord({
      used: () => BigInt(++counts.used),
      unused: () => BigInt(++counts.unused),
    });
    expect(result("variables.used + variables.used", { variables })).toBe("2");
    expect(result("variables.used", { variables })).toBe("1");
    expect(counts).toEqual({ used: 1, unused: 0 });
  });

  test("a double stays a double", () => {
    expect(result("type(variables.d)", { variables: lazyRecord({ d: () => 2 }) })).toBe("double");
  });

  test("an error is that of whoever reads it, each time, and || may do without it", () => {
    let count = 0;
    const variables = lazyRecord({
      bad: () => {
        count++;
        throw new CelError("division by zero");
      },
    });
    expect(result("variables.bad", { variables })).toBe("error: division by zero");
    expect(result("variables.bad || true", { variables })).toBe("true");
    expect(count).toBe(1);
  });

  test("a variable itself may be a getter, read once a run", () => {
    let count = 0;
    const compilation = compile("x + x", untyped({ x: 1 }));
    const inputs = {
      get x(): number {
        return ++count;
      },
    };
    expect(compilation.ok && compilation.program.run(inputs, new Budget(100)).value).toBe(2n);
    expect(count).toBe(1);
  });
});

describe("compile", () => {
  test("a typed environment checks", () => {
    const compilation = compile("1 + 'a'", { variables: {}, libraries: [], typed: true });
    expect(compilation).toMatchObject({ ok: false, problems: [{ line: 1, column: 3 }] });
  });

  test("an untyped one does not, and says so where it is evaluated", () => {
    expect(result("missing(1) || x.y == 1", { x: { y: 1 } })).toBe("true");
    expect(result("missing(1)", {})).toBe("error: no such overload: missing(int)");
    expect(result("missing", {})).toBe("error: no such attribute(s): missing");
  });

  test("knows the type of the result", () => {
    const compilation = compile("[1].map(x, string(x))", { variables: {}, libraries: [], typed: true });
    expect(compilation.ok && compilation.program.type).toEqual({ kind: "list", element: { kind: "string" } });
  });

  test("names the place of what it cannot parse", () => {
    const compilation = compile("a &&\n  b @", untyped({ a: 1, b: 1 }));
    expect(compilation.ok || compilation.problems).toMatchObject([{ line: 2, column: 5 }]);
  });
});

describe("what the API server refuses before it runs", () => {
  test.each([
    ["int('abc') == 1 || true", "type conversion error from 'string' to 'int'", 1],
    ["x == string(b'\\xff')", "invalid UTF-8 in bytes, cannot convert to string", 6],
    ["dyn({'a': 1})[null]", "invalid qualifier type: null_type", 15],
  ])("%s", (text, message, column) => {
    const compilation = compile(text, { variables: { x: { kind: "dyn" } }, libraries: [], typed: true });
    expect(compilation.ok || compilation.problems).toMatchObject([{ message, column }]);
  });
});

describe("literals as cel-go has them", () => {
  test.each([
    ["[,]", "[]"],
    ["size({,})", "0"],
    ["{'a': 1, 'a': 2}", "{a: 2}"],
    ["{1: 'a', 2u: 'b'}[2.0]", "b"],
    ["[1, 'a', null] == [1.0, 'a', null]", "true"],
    ["'\\u3000a'.size()", "2"],
    ["string(123456.0) + ' ' + string(1234567.0) + ' ' + string(0.00001)", "123456 1.234567e+06 1e-05"],
  ])("%s", (text, expected) => {
    expect(result(text, {})).toBe(expected);
  });
});

test("the same program runs twice with the same cost", () => {
  const first = run("object.l.map(e, e * 2).exists(e, e == 6)", OBJECT);
  expect(run("object.l.map(e, e * 2).exists(e, e == 6)", OBJECT)).toEqual(first);
});
