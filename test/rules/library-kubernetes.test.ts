import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compile } from "../../src/core/rules/cel/cel.ts";
import { equal } from "../../src/core/rules/cel/standard-compare.ts";
import type { Value } from "../../src/core/rules/cel/values.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { call, shown } from "./library-call.ts";

const WRONG_QUANTITY =
  "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

function quantity(text: string): Value {
  return call("quantity", text);
}

/** Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/quantity_test.go. */
describe("quantity", () => {
  test.each<readonly [string, readonly Value[], unknown]>([
    ["quantity", ["10 Mo"], WRONG_QUANTITY],
    ["quantity", ["10Mo"], WRONG_QUANTITY],
    ["isQuantity", ["20"], true],
    ["isQuantity", ["20M"], true],
    ["isQuantity", ["20Mi"], true],
    ["isQuantity", ["20Mo"], false],
    ["isInteger", [quantity("20")], true],
    ["isInteger", [quantity("20k")], true],
    ["isInteger", [quantity("9999999999999999999999999999999999999G")], false],
    ["isInteger", [quantity("9223372036854775807")], false],
    ["asInteger", [quantity("50k")], 50000n],
    ["asInteger", [quantity("0k")], 0n],
    ["asInteger", [quantity("9999999999999999999999999999999999999G")], "error: cannot convert value to integer"],
    ["asApproximateFloat", [quantity("50.703k")], 50703],
    ["asApproximateFloat", [quantity("99999999999999999999999999999999999.99999")], 1.0000000000000002e35],
    ["sign", [quantity("-50")], -1n],
    ["sign", [quantity("0")], 0n],
    ["compareTo", [quantity("200M"), quantity("0.2G")], 0n],
    ["compareTo", [quantity("50M"), quantity("50Mi")], -1n],
    ["compareTo", [quantity("50Mi"), quantity("50M")], 1n],
    ["isGreaterThan", [quantity("150Mi"), quantity("100Mi")], true],
    ["isLessThan", [quantity("100M"), quantity("50M")], false],
  ])("%s", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });

  test("numbers too far apart are not brought to one scale", () => {
    expect(call("add", quantity("1e2000000000"), 1n)).toBe("error: quantities are too far apart");
    expect(call("quantity", "12345678901234567890e2000000000")).toBe("error: unable to parse numeric part of quantity");
    expect(call("asApproximateFloat", quantity("1e-2000000000"))).toBe(1e-9);
  });

  test("what was added is gone when it is taken away again", () => {
    const unit = fc.constantFrom("", "m", "k", "Mi", "G", "Ti", "e3", "n");
    const any = fc.tuple(fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }), unit).map((parts) => parts.join(""));
    fc.assert(
      fc.property(any, any, (a, b) => {
        const there = call("add", quantity(a), quantity(b));
        expect(equal(call("sub", there, quantity(b)), quantity(a))).toBe(true);
        expect(call("compareTo", there, quantity(a))).toBe(call("sign", quantity(b)));
      }),
    );
  });
});

/** Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/ip_test.go and cidr_test.go. */
describe("addresses", () => {
  const v4 = call("cidr", "192.168.0.0/24");
  const v6 = call("cidr", "2001:db8::/32");
  test.each<readonly [string, readonly Value[], unknown]>([
    ["ip", ["192.168.0.1"], "192.168.0.1"],
    ["ip", ["2001:DB8::68"], "2001:db8::68"],
    ["ip", ["2001:db8:0:0:1:0:0:1"], "2001:db8::1:0:0:1"],
    [
      "ip",
      ["192.168.0.1.0"],
      'error: IP Address "192.168.0.1.0" parse error during conversion from string: ParseAddr("192.168.0.1.0"): IPv4 address too long',
    ],
    ["ip", ["::ffff:192.168.0.1"], 'error: IPv4-mapped IPv6 address "::ffff:192.168.0.1" is not allowed'],
    ["ip", ["fe80::1%en0"], 'error: IP address "fe80::1%en0" with zone value is not allowed'],
    ["isIP", ["192.168.0.1"], true],
    ["isIP", ["192.168.0.1.0"], false],
    ["ip.isCanonical", ["2001:DB8::68"], false],
    ["ip.isCanonical", ["127.0.0.1"], true],
    ["family", [call("ip", "::1")], 6n],
    ["isUnspecified", [call("ip", "0.0.0.0")], true],
    ["isLoopback", [call("ip", "127.0.0.1")], true],
    ["isLinkLocalMulticast", [call("ip", "224.0.0.1")], true],
    ["isLinkLocalUnicast", [call("ip", "169.254.169.254")], true],
    ["isGlobalUnicast", [call("ip", "192.168.0.1")], true],
    ["cidr", ["192.168.0.0/24"], "192.168.0.0/24"],
    [
      "cidr",
      ["192.168.0.0/"],
      'error: network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix("192.168.0.0/"): bad bits after slash: ""',
    ],
    ["isCIDR", ["192.168.0.0/24"], true],
    ["isCIDR", ["192.168.0.0/"], false],
    ["containsIP", [v4, "192.168.0.1"], true],
    ["containsIP", [v4, call("ip", "192.168.1.1")], false],
    ["containsIP", [v6, "2001:db8::1"], true],
    ["containsIP", [v4, "not-an-ip"], "error: no such overload"],
    ["containsCIDR", [v4, "192.168.0.0/25"], true],
    ["containsCIDR", [v4, "192.168.0.0/23"], false],
    ["containsCIDR", [v4, v6], false],
    ["prefixLength", [v4], 24n],
    ["ip", [call("cidr", "192.168.0.1/24")], "192.168.0.1"],
    ["masked", [call("cidr", "192.168.0.1/24")], "192.168.0.0/24"],
    ["masked", [call("cidr", "2001:db8::1/32")], "2001:db8::/32"],
    ["string", [v6], "2001:db8::/32"],
  ])("%s", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });

  const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter((text) => call("isIP", text) === true);

  test("the text of an address is canonical and reads as the same address", () => {
    fc.assert(
      fc.property(address, (text) => {
        const canonical = shown(call("ip", text)) as string;
        expect(call("ip.isCanonical", canonical)).toBe(true);
        expect(equal(call("ip", canonical), call("ip", text))).toBe(true);
      }),
    );
  });

  test("a range contains its own base and address, and the range without the bits behind its prefix", () => {
    fc.assert(
      fc.property(address, fc.nat(32), (text, length) => {
        const range = call("cidr", `${text}/${length}`);
        expect(call("containsIP", range, text)).toBe(true);
        expect(call("containsIP", range, call("ip", call("masked", range)))).toBe(true);
        expect(call("containsCIDR", range, call("masked", range))).toBe(true);
      }),
    );
  });
});

/** Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/semver_test.go. */
describe("semver", () => {
  const version = (text: string) => call("semver", text);
  test.each<readonly [string, readonly Value[], unknown]>([
    ["semver", ["v1.2"], "error: No Major.Minor.Patch elements found"],
    ["semver", ["v1.0", true], "1.0.0"],
    ["semver", ["01.01.01", true], "1.1.1"],
    ["semver", ["1.01.01"], 'error: Minor number must not contain leading zeroes "01"'],
    ["isSemver", ["1.2.3-beta.1+build.1"], true],
    ["isSemver", ["v1.0.0"], false],
    ["isSemver", ["v1.0.0", true], true],
    ["isSemver", ["1.2.3-", true], false],
    ["major", [version("1.2.3")], 1n],
    ["minor", [version("1.2.3")], 2n],
    ["patch", [version("1.2.3")], 3n],
    ["compareTo", [version("1.0.0"), version("2.0.0")], -1n],
    ["compareTo", [version("1.0.1-beta.10"), version("1.0.1-beta.2")], 1n],
    ["isLessThan", [version("1.0.0-beta"), version("1.0.0")], true],
    ["isGreaterThan", [version("1.0.0"), version("1.0.0-beta")], true],
  ])("%s", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });
});

/** Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/urls.go and Go's net/url/url_test.go. */
describe("url", () => {
  const parsed = (text: string) => call("url", text);
  test.each<readonly [string, readonly Value[], unknown]>([
    [
      "url",
      ["../relative-path"],
      'error: URL parse error during conversion from string: parse "../relative-path": invalid URI for request',
    ],
    ["isURL", ["https://a:b:c/"], false],
    ["isURL", ["https://user:pass@example.com:80/path?query=val#fragment"], true],
    ["isURL", ["../relative-path"], false],
    ["getScheme", [parsed("/path")], ""],
    ["getScheme", [parsed("HTTPS://example.com")], "https"],
    ["getQuery", [parsed("/?a=1+2&a=%20")], { a: ["1 2", " "] }],
    ["getHost", [parsed("https://[::1]:80/")], "[::1]:80"],
    ["getHostname", [parsed("https://[::1]:80/")], "::1"],
    ["getPort", [parsed("https://example.com:80/")], "80"],
    ["getEscapedPath", [parsed("https://example.com/path with spaces/")], "/path%20with%20spaces/"],
    ["getQuery", [parsed("https://example.com/path?k1=a&k2=b&k2=c")], { k1: ["a"], k2: ["b", "c"] }],
    ["getQuery", [parsed("/?__proto__=a&constructor=b")], JSON.parse('{"__proto__":["a"],"constructor":["b"]}')],
    ["getHost", [parsed("http://hello.世界.com/foo")], "hello.世界.com"],
    ["getHost", [parsed("http://%3Fam:pa%3Fsword@google.com")], "google.com"],
    [
      "url",
      ["http://[fe80::1%en0]/"],
      'error: URL parse error during conversion from string: parse "http://[fe80::1%en0]/": invalid URL escape "%en"',
    ],
    [
      "url",
      ["http://192.168.0.%31/"],
      'error: URL parse error during conversion from string: parse "http://192.168.0.%31/": invalid URL escape "%31"',
    ],
  ])("%s", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });
});

/** Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/format_test.go. */
describe("format.*", () => {
  const validate = (name: string, text: string) => shown(call("validate", call(`format.${name}`), text));
  test.each<readonly [string, string, unknown]>([
    ["dns1123Label", "contains-only-label", "none"],
    ["dns1123Label", "contains.dots", ["must not contain dots"]],
    ["dns1123Subdomain", "apiextensions.k8s.io", "none"],
    ["dns1035LabelPrefix", "my-label-prefix-", "none"],
    ["qualifiedName", "apiextensions.k8s.io/v1beta1", "none"],
    ["qualifiedName", "/name", ["prefix part must be non-empty"]],
    ["labelValue", "myValue", "none"],
    ["uri", "http://example.com", "none"],
    ["uuid", "123e4567-e89b-12d3-a456-426614174000", "none"],
    ["uuid", "invalid", ["does not match the UUID format"]],
    ["byte", "aGVsbG8=", "none"],
    ["byte", "invalid", ["invalid base64"]],
    ["date", "2021-01-01", "none"],
    ["date", "1900-02-29", ["invalid date"]],
    ["datetime", "2021-01-01T00:00:00Z", "none"],
    ["datetime", "2021-01-01T00:00:00Z000", ["invalid datetime"]],
  ])("%s of %s", (name, text, expected) => {
    expect(validate(name, text)).toEqual(expected);
  });

  test("a format is found by name, or not at all", () => {
    expect(shown(call("format.named", "uuid"))).toBe("uuid");
    expect(shown(call("format.named", "unknown"))).toBe("none");
    expect(shown(call("format.named", "__proto__"))).toBe("none");
  });
});

test("a rule that asks authorizer is told once why it cannot", () => {
  const environment = { variables: {}, libraries: kubernetesLibraries("1.36"), typed: true };
  const texts = [
    "authorizer.group('').resource('services').check('get').allowed()",
    "authorizer.requestResource.check('get').allowed()",
  ];
  for (const text of texts) {
    const compiled = compile(text, environment);
    expect(compiled.ok || compiled.problems.map(({ message }) => message)).toEqual([
      "authorizer is not available: rules are evaluated without a network call; " +
        "grant or withhold rights by RBAC, or ask authorizer in a ValidatingAdmissionPolicy",
    ]);
  }
  const named = compile("authorizer", { ...environment, variables: { authorizer: { kind: "int" } } });
  expect(named.ok && named.program.type).toEqual({ kind: "int" });
});
