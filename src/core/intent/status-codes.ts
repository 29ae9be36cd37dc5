/** The codes that one entry of `statusCodes` stands for, both ends included. The text has passed the schema. */
export function parseStatusCode(code: string): readonly [from: number, to: number] {
  if (code === "5xx") return [500, 599];
  if (code === "gateway-error") return [502, 504];
  const [from = "", to = from] = code.split("-");
  return [Number(from), Number(to)];
}

/** The shortest way to write the codes that an entry of `statusCodes` stands for. */
export function shortestStatusCode(code: string): string {
  const [from, to] = parseStatusCode(code);
  if (from === 500 && to === 599) return "5xx";
  if (from === 502 && to === 504) return "gateway-error";
  return from === to ? `${from}` : `${from}-${to}`;
}

/** gRPC codes that Linkerd's breaker counts as failures, of those that it can retry (docs/linkerd.md, What acts differently than it looks). */
const BREAKER_FAILURES: ReadonlySet<string> = new Set(["deadline-exceeded", "internal", "unavailable"]);

export function failingGrpcCodes(codes: readonly string[]): readonly string[] {
  return codes.filter((code) => BREAKER_FAILURES.has(code));
}
