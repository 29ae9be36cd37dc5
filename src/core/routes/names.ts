import { OBJECT_NAME_LENGTH_MAX } from "../limits.ts";
import { revisionOf } from "../intent/revision.ts";
import { REST_ENTRY } from "../names.ts";

/** What tells generated routes of one policy apart. */
export interface RouteIdentity {
  readonly policy: string;
  readonly service: string;
  /** Undefined: the one that takes the rest. */
  readonly entry: string | undefined;
  /** Undefined: the Service has one port that speaks HTTP. */
  readonly port: number | undefined;
}

/** Hexadecimal digits: 32 bits, for a handful of names that are too long or read alike. */
const HASH_LENGTH = 8;

/**
 * `<policy>-<service>-<entry>[-<port>]`, each once: names that are too long, or that several identities would have
 * (`a-b` and `c`, `a` and `b-c`), end in a hash.
 */
export function routeNames(identities: readonly RouteIdentity[]): readonly string[] {
  const plain = identities.map(plainName);
  const uses = new Map<string, number>();
  for (const name of plain) uses.set(name, (uses.get(name) ?? 0) + 1);
  return plain.map((name, index) => {
    if (name.length <= OBJECT_NAME_LENGTH_MAX && uses.get(name) === 1) return name;
    const hash = revisionOf(identities[index]).slice(0, HASH_LENGTH);
    const head = name.slice(0, OBJECT_NAME_LENGTH_MAX - HASH_LENGTH - 1).replace(/[-.]+$/, "");
    return `${head}-${hash}`;
  });
}

function plainName({ policy, service, entry = REST_ENTRY, port }: RouteIdentity): string {
  return [policy, service, entry, ...(port === undefined ? [] : [port])].join("-");
}
