import { type Finding, finding } from "../finding.ts";
import { MODE_LABEL, MODES, type Mode } from "../names.ts";
import { quote } from "../text.ts";
import type { World } from "../world.ts";

export interface NamespaceMode {
  /** Undefined: not opted in, nothing is looked at. */
  readonly mode: Mode | undefined;
  readonly findings: readonly Finding[];
}

const NOT_OPTED_IN: NamespaceMode = Object.freeze({ mode: undefined, findings: Object.freeze([]) });
const KNOWN = Object.fromEntries(MODES.map((mode) => [mode, Object.freeze({ mode, findings: Object.freeze([]) })]));

/** The mode of a namespace. A misspelt mode is not «no mode»: as with Pod Security, the strictest applies. */
export function modeOf(namespace: string, world: World): NamespaceMode {
  if (world.defaults.excludedNamespaces.has(namespace)) return NOT_OPTED_IN;
  const info = world.namespace(namespace);
  const text = info === undefined ? world.defaults.unknownNamespaceMode : info.labels[MODE_LABEL];
  if (text === undefined) return NOT_OPTED_IN;
  return (Object.hasOwn(KNOWN, text) ? KNOWN[text] : undefined) ?? unknownMode(namespace, text);
}

function unknownMode(namespace: string, text: string): NamespaceMode {
  const unknown = finding("FL602", "", {
    message: `Namespace ${namespace} has ${MODE_LABEL}: ${quote(text)}, wanted enforce, warn or audit; enforce applies until then`,
    fix: `kubectl label namespace ${namespace} --overwrite ${MODE_LABEL}=enforce`,
  });
  return { mode: "enforce", findings: [unknown] };
}
