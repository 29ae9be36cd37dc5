/** As much of Protocol Buffers' wire format as the secret server needs: fields that are bytes, text or messages. */

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

/** Encodes one field: its tag, its length, its bytes. */
export function encodeField(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([encodeVarint(number * 8 + LENGTH_DELIMITED), encodeVarint(bytes.length), bytes]);
}

/** Encodes a message from its fields. */
export function encodeMessage(fields: readonly (readonly [number, string | Uint8Array])[]): Buffer {
  return Buffer.concat(fields.map(([number, value]) => encodeField(number, value)));
}

/** The length-delimited fields of a message, in order by their number; all others are passed over. */
export function decodeMessage(message: Uint8Array): ReadonlyMap<number, readonly Buffer[]> {
  const bytes = Buffer.from(message);
  const fields = new Map<number, Buffer[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wireType = tag % 8;
    if (wireType === VARINT) varint();
    else if (wireType === FIXED_64) at += 8;
    else if (wireType === FIXED_32) at += 4;
    else if (wireType === LENGTH_DELIMITED) {
      const end = varint() + at;
      const number = Math.floor(tag / 8);
      fields.set(number, [...(fields.get(number) ?? []), bytes.subarray(at, end)]);
      at = end;
    } else throw new Error(`Cannot read a message: wire type ${wireType} at byte ${at}`);
  }
  return fields;
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
