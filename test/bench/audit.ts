import { readFile } from "node:fs/promises";
import type { Workspace } from "../../src/dev/control-plane/workspace.ts";

/** One write, as the API server's audit log has it. */
export interface AuditedWrite {
  readonly user: string;
  readonly verb: string;
  readonly resource: string;
  readonly namespace: string;
  readonly code: number;
  /** Milliseconds since 1970, to the microsecond: when the API server had received it, and when it had answered. */
  readonly receivedMs: number;
  readonly answeredMs: number;
}

const POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
- level: None
`;

/** Who wrote what and when, told by the API server itself: the same clock and the same cost for all who write. */
export class AuditLog {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** The log, and the arguments with which the API server writes it. */
  static prepare(workspace: Workspace): { readonly audit: AuditLog; readonly args: readonly string[] } {
    const path = workspace.file("audit.log");
    const policy = workspace.write("audit-policy.yaml", POLICY);
    return { audit: new AuditLog(path), args: [`--audit-policy-file=${policy}`, `--audit-log-path=${path}`] };
  }

  /** What has been received from then on, dry runs aside; `sinceMs` is milliseconds since 1970. */
  async writes(sinceMs: number): Promise<readonly AuditedWrite[]> {
    const text = await readFile(this.#path, "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter((event) => !event.requestURI.includes("dryRun="))
      .map((event) => ({
        user: event.user.username,
        verb: event.verb,
        resource: event.objectRef?.resource ?? "",
        namespace: event.objectRef?.namespace ?? "",
        code: event.responseStatus?.code ?? 0,
        receivedMs: milliseconds(event.requestReceivedTimestamp),
        answeredMs: milliseconds(event.stageTimestamp),
      }))
      .filter((write) => write.receivedMs >= sinceMs);
  }
}

interface AuditEvent {
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef?: { readonly resource?: string; readonly namespace?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

/** Date knows no microseconds. */
function milliseconds(text: string): number {
  const [seconds = "", fraction = "0Z"] = text.split(".");
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction.slice(0, -1)}`) * 1_000;
}
