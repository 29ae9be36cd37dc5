import { type Finding, finding } from "../finding.ts";
import { SECTIONS, type Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { type Precedence, resolvePrecedence } from "../intent/precedence.ts";
import { activePerTryMs } from "../intent/request-checks.ts";
import { NAMES_SHOWN_MAX } from "../limits.ts";
import { type AimedTarget, precedenceWith } from "../policy/targets.ts";
import { list, showMs } from "../text.ts";
import type { World } from "../world.ts";
import { candidates } from "./candidates.ts";

export interface ConflictsInput {
  readonly policy: CompiledPolicy;
  readonly targets: readonly AimedTarget[];
  /** The policies of the namespace before this write. */
  readonly before: readonly CompiledPolicy[];
}

/**
 * Sections that this policy shares with others, and who decides: one finding for each target and section. And sections
 * that do not fit those that another policy decides.
 */
export function conflicts({ policy, targets, before }: ConflictsInput, world: World): readonly Finding[] {
  const precedenceOf = precedenceWith(policy, world);
  return targets.flatMap((target) => {
    const { losers, winners } = precedenceOf(target);
    const shared = losers.length === 0 ? [] : SECTIONS;
    const decided = shared.flatMap((section) => {
      const winner = winners[section];
      const others = losers.filter((loser) => loser.section === section).map((loser) => loser.policy);
      if (winner === policy && others.length > 0) return [won({ target, section, others, before })];
      return winner !== undefined && others.includes(policy) ? [lost({ target, section, winner })] : [];
    });
    return [...decided, ...outlasting(policy, target, winners)];
  });
}

/**
 * The retries of one policy beside the request timeout of another: within one policy it would be refused. The other may be
 * older and written by somebody else, so it is a warning here.
 */
function outlasting(policy: CompiledPolicy, { key }: AimedTarget, { retry, timeout }: Winners): readonly Finding[] {
  if (retry === undefined || timeout === undefined || retry === timeout) return [];
  if (policy !== retry && policy !== timeout) return [];
  const [perTryMs, requestMs] = [activePerTryMs(retry.intent), timeout.intent.timeout?.requestMs];
  if (perTryMs === undefined || requestMs === undefined || perTryMs <= requestMs) return [];
  const [path, other] =
    policy === retry
      ? ["spec.retry.timeout", `timeout is that of ResiliencePolicy ${timeout.name}`]
      : ["spec.timeout.request", `retry is that of ResiliencePolicy ${retry.name}`];
  const found = finding("FL202", path, {
    message: `On ${key.kind} ${key.name} a try may take ${showMs(perTryMs)} and the whole request ${showMs(requestMs)}; ${other}`,
    fix: `lower retry.timeout below ${showMs(requestMs)} or raise timeout.request`,
  });
  return [{ ...found, severity: "warn" }];
}

type Winners = Precedence["winners"];

interface Lost {
  readonly target: AimedTarget;
  readonly section: Section;
  readonly winner: CompiledPolicy;
}

function lost({ target: { key }, section, winner }: Lost): Finding {
  return finding("FL307", `spec.${section}`, {
    message: `${key.kind} ${key.name} takes ${section} from ResiliencePolicy ${winner.name}, which comes first`,
    fix: `remove ${section} from one of the two`,
  });
}

interface Won {
  readonly target: AimedTarget;
  readonly section: Section;
  readonly others: readonly CompiledPolicy[];
  readonly before: readonly CompiledPolicy[];
}

/** Says from whom the section is taken over, where another one has decided so far. */
function won({ target, section, others, before }: Won): Finding {
  const { key, object = {} } = target;
  const decided = resolvePrecedence(candidates(before, key.name, object), key, object).winners[section];
  const previous = others.find((other) => other === decided);
  const rest = others.filter((other) => other !== previous);
  const head = `${key.kind} ${key.name} takes ${section} from here`;
  const takenOver = previous === undefined ? "" : ` and no longer from ResiliencePolicy ${previous.name}`;
  return finding("FL307", `spec.${section}`, {
    message: `${head}${takenOver}${rest.length === 0 ? "" : `; ${wantIt(rest)}`}`,
    fix: `remove ${section} from ${others.length === 1 ? "one of the two" : "all but one"}`,
  });
}

/** `ResiliencePolicy q wants it too`, `ResiliencePolicies q, r, s and 7 more want it too`. */
function wantIt(policies: readonly CompiledPolicy[]): string {
  const names = policies.map(({ name }) => name);
  if (names.length === 1) return `ResiliencePolicy ${list(names)} wants it too`;
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = more > 0 ? [...names.slice(0, NAMES_SHOWN_MAX), `${more} more`] : names;
  return `ResiliencePolicies ${list(shown)} want it too`;
}
