import type { Library } from "../cel/library.ts";
import { CelError, type Opaque, TypeValue } from "../cel/values.ts";
import { ADDRESS_UNITS, type Address, addressText, isMappedIpv4, parseAddress } from "./address.ts";
import { BOOL, type Cost, declare, INT, method, opaque, plain, STRING, traversal } from "./define.ts";
import { goQuote } from "./go-text.ts";

const NAME = "net.IP";
export const IP = opaque(NAME);
const ONE: Cost = () => 1;
const addressCost: Cost = ([ip]) => ADDRESS_UNITS[(ip as IpValue).address.bits];

/** An IP address without zone that is no IPv4 address in an IPv6 one. */
export class IpValue implements Opaque {
  readonly opaque = NAME;
  readonly address: Address;

  constructor(address: Address) {
    this.address = address;
  }

  /** Bytes, for costs. */
  get size(): number {
    return this.address.bits / 8;
  }

  equals(other: Opaque): boolean {
    return (
      other instanceof IpValue && other.address.bits === this.address.bits && other.address.value === this.address.value
    );
  }

  toString(): string {
    return addressText(this.address);
  }
}

/** Reading it and writing it again, of which Kubernetes counts as much for either as for an IPv4 address. */
const canonicalCost: Cost = ([text]) =>
  traversal(2)([text ?? ""]) + (typeof text === "string" && text.includes(":") ? ADDRESS_UNITS[128] : 0);

const QUESTIONS: Readonly<Record<string, readonly [id: string, ask: (address: Address) => boolean]>> = {
  isUnspecified: ["ip_is_unspecified", ({ value }) => value === 0n],
  isLoopback: ["ip_is_loopback", isLoopback],
  isLinkLocalMulticast: ["ip_is_link_local_multicast", isLinkLocalMulticast],
  isLinkLocalUnicast: ["ip_is_link_local_unicast", isLinkLocalUnicast],
  isGlobalUnicast: ["ip_is_global_unicast", isGlobalUnicast],
};

/** apiserver/pkg/cel/library/ip.go. */
export const ip: Library = {
  functions: [
    declare("ip", plain({ id: "string_to_ip", parameters: [STRING], result: IP, call: parseIp, cost: traversal() })),
    declare("isIP", plain({ id: "is_ip", parameters: [STRING], result: BOOL, call: isIp, cost: traversal() })),
    declare(
      "ip.isCanonical",
      plain({ id: "ip_is_canonical", parameters: [STRING], result: BOOL, call: isCanonical, cost: canonicalCost }),
    ),
    declare(
      "family",
      method({
        id: "ip_family",
        parameters: [IP],
        result: INT,
        call: ({ address }: IpValue) => (address.bits === 32 ? 4n : 6n),
        cost: ONE,
      }),
    ),
    ...Object.entries(QUESTIONS).map(([name, [id, ask]]) =>
      declare(
        name,
        method({ id, parameters: [IP], result: BOOL, call: ({ address }: IpValue) => ask(address), cost: ONE }),
      ),
    ),
    declare("string", plain({ id: "ip_to_string", parameters: [IP], result: STRING, call: String, cost: addressCost })),
  ],
  constants: { [NAME]: { type: { kind: "type", of: IP }, value: new TypeValue(IP) } },
};

/** Throws a CelError with Kubernetes' message. */
export function parseIp(text: string): IpValue {
  const address = readAddress(text);
  if (address.zone !== "") throw new CelError(`IP address ${goQuote(text)} with zone value is not allowed`);
  if (isMappedIpv4(address)) throw new CelError(`IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`);
  return new IpValue(address);
}

function readAddress(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    const reason = (error as CelError).message;
    throw new CelError(`IP Address ${goQuote(text)} parse error during conversion from string: ${reason}`);
  }
}

function isIp(text: string): boolean {
  try {
    parseIp(text);
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

function isCanonical(text: string): boolean {
  return parseIp(text).toString() === text;
}

function isLoopback({ bits, value }: Address): boolean {
  return bits === 32 ? value >> 24n === 127n : value === 1n;
}

function isLinkLocalMulticast({ bits, value }: Address): boolean {
  return bits === 32 ? value >> 8n === 0xe0_00_00n : ((value >> 112n) & 0xff0fn) === 0xff02n;
}

function isLinkLocalUnicast({ bits, value }: Address): boolean {
  return bits === 32 ? value >> 16n === 0xa9_fen : value >> 118n === 0xfe80n >> 6n;
}

function isMulticast({ bits, value }: Address): boolean {
  return bits === 32 ? value >> 28n === 0xen : value >> 120n === 0xffn;
}

/** Go's meaning: private addresses are global too. */
function isGlobalUnicast(address: Address): boolean {
  const { bits, value } = address;
  if (value === 0n || (bits === 32 && value === 0xff_ff_ff_ffn)) return false;
  return !isLoopback(address) && !isMulticast(address) && !isLinkLocalUnicast(address);
}
