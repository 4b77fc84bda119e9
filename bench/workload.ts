import type { TurnInput } from "../src/index.ts";

/** A turn of about 1 KiB, the median of the real conversations that the project is tried on: a question, an answer, its cost. */
export const turn: TurnInput = {
  input:
    "I booked two seats to Lisbon for the 14th, and one of us cannot come. Can you cancel that seat only, and what does it cost?",
  output: [
    "Yes, one of two passengers can be cancelled without touching the other seat.",
    "Your fare allows a cancellation until 24 hours before departure.",
    "The airline keeps a fee of €45 and refunds the rest to the card you paid with, usually within seven days.",
    "The taxes of the unused seat are refunded in full.",
    "Bags that were booked for the cancelled passenger are cancelled with it; yours stay as they are.",
    "Before I do it, please confirm three things: the name of the passenger who stays at home,",
    "that the return flight on the 21st shall be cancelled for the same passenger,",
    "and that you accept the fee.",
    "Once it is done, I send both of you a new confirmation, and the seat next to yours is released for others.",
    "If you would rather keep the seat and change its date, that costs €30 and the difference in fare.",
  ].join(" "),
  model: "gpt-4.1-mini",
  usage: { inputTokens: 212, outputTokens: 186, totalTokens: 398 },
  durationMs: 1834,
};
