import { strict as assert } from "node:assert";
import { Budget, compile, type Environment, type Program } from "../../src/core/rules/cel/cel.ts";
import { BUDGET_SPENT } from "../../src/core/rules/cel/budget.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { SERVE_RULE_COST_MAX } from "../../src/core/rules/limits.ts";
import { spread, type Spread } from "./statistics.ts";

export interface HostileResult {
  readonly rules: number;
  /**
   * Of the slowest of them with the budget of one rule, until it is cut off: CPU of its thread alone, which is what it holds
   * the event loop for. The collector's helpers and the compiler have threads of their own.
   */
  readonly slowestMs: Spread;
  /** What it asks again and again. */
  readonly slowest: string;
}

const numbered = (count: number, textOf: (index: number) => unknown) =>
  Array.from({ length: count }, (_, at) => textOf(at));

/** What an object may hold at most, more or less: many, long, and costly to read. */
const VARIABLES = {
  many: numbered(5_000, (at) => at),
  texts: numbered(1_000, (at) => `text-${at}`),
  addresses: numbered(1_000, (at) => `2001:db8::${at.toString(16)}`),
  long: "a".repeat(90_000),
  address: "2001:db8:1:2:3:4:5:6",
  range: "2001:db8::/32",
  bad: "x".repeat(40),
  link: "https://h/%20a",
  longLink: `https://user:pw@host.example.com/${"%C3%A9%20b".repeat(6_000)}`,
  longQuery: `https://h/?${"a=b&".repeat(9_000)}`,
};

/** `z` is made once, and each of the others asked as often as the budget lets it. */
const HOSTILE: readonly (readonly [z: string, bodies: readonly string[]])[] = [
  ["cidr(range)", ["z.masked().masked().masked().masked().masked()", "z == z", "string(z)", "z.containsCIDR(z)"]],
  ["cidr(range)", ["z.containsIP(address)", "z.containsCIDR(range)", "cidr(range)", "isCIDR(range)"]],
  ["cidr('10.0.0.0/8')", ["z.masked().masked().masked().masked()", "string(z)", "z.containsIP('10.0.0.1')"]],
  ["ip(address)", ["string(z)", "z == z", "z.family()", "z.isGlobalUnicast()", "cidr(range).containsIP(z)"]],
  ["ip('::1')", ["string(z)", "ip('::1')", "isIP('::1')", "ip.isCanonical('::1')", "ip.isCanonical(address)"]],
  ["bad", ["ip(z)", "isIP(z)", "isIP('')", "isIP(address)", "ip.isCanonical('10.0.0.1')", "isURL(z)", "url(z)"]],
  ["url(link)", ["z.getEscapedPath()", "z.getQuery()", "z.getHost()", "z.getPort()", "z.getScheme()", "z == z"]],
  ["link", ["url(z)", "isURL(z)", "url(longLink)", "isURL(longLink)", "url(longQuery)"]],
  ["quantity('1e300')", ["z.add(z).sub(z).add(z)", "z.isGreaterThan(z)", "z.asApproximateFloat()", "z.isInteger()"]],
  ["1", ["quantity('1.5Gi')", "quantity('12345678901234567890123456789e5')", "semver('1.2.3-a.b.c+d')"]],
  ["semver('1.2.3-' + long)", ["z.isLessThan(z)", "z == z"]],
  ["semver('1.2.3-' + texts.join('.'))", ["z.isLessThan(z)"]],
  ["timestamp('2024-01-01T00:00:00Z')", ["z.getHours()", "z.getHours('Europe/Berlin')", "string(z)"]],
  ["dyn('2024-01-01T00:00:00Z')", ["timestamp(z)", "duration(dyn('1h2m3s'))", "string(duration('1h2m3.5s'))"]],
  ["1.2345e300", ["string(z)", "'%.20f'.format([z])", "'%e'.format([z])", "'%.20f'.format([1.2345e-300])"]],
  ["[[1.5e300, 2.5e300, 1.7e-300]]", ["'%s'.format([z])", "'%s %d %x'.format(['a', 1, 2])"]],
  ["dyn('123456')", ["int(z)", "double(z)", "uint(z)", "string(123456)"]],
  ["long", ["z.lowerAscii()", "z.substring(1)", "z.charAt(5)", "z.indexOf('b')", "z.split('')", "z.size()"]],
  ["long", ["z.startsWith(z)", "z.contains('b')", "z == z", "z < z", "z + z", "z.reverse()", "z.trim()", "bytes(z)"]],
  ["long", ["z.matches('b')", "z.replace('a', 'b')", "strings.quote(z)", "z.find('b')", "z.findAll('b')"]],
  ["'abc'", ["z.matches('^a$')", "z.find('b')", "format.dns1123Label().validate(z)"]],
  ["texts", ["z.distinct()", "z.sort()", "sets.contains(z, z)", "'x' in z", "z + z", "z == z", "z.slice(0, 1000)"]],
  ["texts", ["z.reverse()", "z.join('')", "z.map(t, t)", "z.filter(t, false)", "z.exists_one(t, true)"]],
  ["addresses", ["z.isSorted()", "z.max()", "z.indexOf('x')", "z.all(t, isIP(t))", "z.map(t, ip(t))"]],
  ["[[[[[texts]]]]]", ["z.flatten(7)", "z == z"]],
  ["{'a': 1}", ["has(z.a) && has(z.a) && has(z.a) && has(z.a)", "z.b", "z['b']", "z.transformMap(k, v, v)"]],
  ["{'a': {'b': {'c': 1}}}", ["z == {'a': {'b': {'c': 1}}}"]],
  ["[]", ["z.all(k, true)", "1 / 0", "z[0]", "[1].all(k, 1 / 0 == 1)", "optional.of(1).optMap(v, v)"]],
];

const ROUNDS = 5;

/** Expressions that are cheap by their units and costly for the CPU, each with all that one rule may spend. */
export function measureHostile(): HostileResult {
  const measured = HOSTILE.flatMap(([z, bodies]) =>
    bodies.map((body) => {
      const text = `[${z}].all(z, many.all(x, many.all(y, dyn(${body}) == null || true)))`;
      const program = compiled(text);
      const rounds = Array.from({ length: ROUNDS + 1 }, () => cpuMsOf(program));
      // The first round compiles.
      return { body, cpuMs: spread(rounds.slice(1)) };
    }),
  );
  const slowest = measured.reduce((a, b) => (a.cpuMs.median < b.cpuMs.median ? b : a));
  return { rules: measured.length, slowestMs: slowest.cpuMs, slowest: slowest.body };
}

const ENVIRONMENT: Environment = {
  variables: Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, { kind: "dyn" }])),
  libraries: kubernetesLibraries("1.36"),
  typed: true,
};

function compiled(text: string): Program {
  const compilation = compile(text, ENVIRONMENT);
  assert(compilation.ok, `a hostile expression compiles: ${text}`);
  return compilation.program;
}

function cpuMsOf(program: Program): number {
  const before = process.threadCpuUsage();
  const { error } = program.run(VARIABLES, new Budget(SERVE_RULE_COST_MAX));
  const { user, system } = process.threadCpuUsage(before);
  assert.equal(error?.message, BUDGET_SPENT, `it is cut off: ${program.text}`);
  return (user + system) / 1_000;
}
