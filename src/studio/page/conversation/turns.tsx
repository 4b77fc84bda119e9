import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { may } from "../http/api.ts";
import { counted } from "../view/format.ts";
import { useKeys } from "../view/keyboard.ts";
import { Blank, Loading } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";
import { Composer } from "./composer.tsx";
import type { Conversation } from "./conversation.ts";
import { TurnView } from "./turn-view.tsx";
import { Approval } from "./approval.tsx";

/** A reader this near to the end stays at the end, px. */
const nearEnd = 120;

/** The element that scrolls the turns: on a narrow screen they and the panel are one column. */
function scrollerOf(box: HTMLElement): HTMLElement {
  return getComputedStyle(box).overflowY === "visible" ? (box.closest<HTMLElement>(".split") ?? box) : box;
}

/** How far the end of the turns, with the box for the next question, is below what is visible, px. */
function belowView(box: HTMLElement): number {
  const scroller = scrollerOf(box);
  if (scroller === box) return box.scrollHeight - box.scrollTop - box.clientHeight;
  return (box.parentElement ?? box).getBoundingClientRect().bottom - scroller.getBoundingClientRect().bottom;
}

/** The turns as a chat: it opens at the last one. */
export function Turns({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const turns = conversation.turns.value;
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const isLoading = useSignal(false);
  const chosen = useRef(-1);
  const arriving = conversation.arriving.value;
  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null && isAtEnd.current) scrollerOf(element).scrollTop += belowView(element);
  }, [turns, arriving]);
  useEffect(() => {
    if (turns !== undefined) void show();
    const element = box.current;
    const around = element?.closest(".split");
    if (element === null || !around) return undefined;
    const look = (): void => void (isAtEnd.current = belowView(element) < nearEnd);
    // Events of scrolling do not bubble.
    around.addEventListener("scroll", look, { capture: true, passive: true });
    return () => around.removeEventListener("scroll", look, { capture: true });
  }, [turns === undefined]);
  /** Shows the turn that the address names, and loads the turns up to it. */
  const show = async (): Promise<void> => {
    const seq = Number(/^#turn-(\d+)$/.exec(location.hash)?.[1] ?? 0);
    if (seq === 0) return;
    isAtEnd.current = false;
    while (conversation.before.value !== undefined && (conversation.turns.value?.[0]?.seq ?? 0) > seq)
      await conversation.earlier();
    requestAnimationFrame(() => document.querySelector(`#turn-${seq}`)?.scrollIntoView({ block: "start" }));
  };
  const choose = (step: number): void => {
    const all = [...(box.current?.querySelectorAll<HTMLElement>(".turn") ?? [])];
    const from = chosen.current === -1 ? (step > 0 ? -1 : all.length) : chosen.current;
    chosen.current = Math.min(Math.max(from + step, 0), all.length - 1);
    const turn = all[chosen.current];
    turn?.focus({ preventScroll: true });
    turn?.scrollIntoView({ block: "nearest" });
  };
  useKeys({ j: () => choose(1), k: () => choose(-1) });

  if (turns === undefined) return <Loading lines={10} />;
  const earlier = async (): Promise<void> => {
    const element = box.current;
    const scroller = element === null ? null : scrollerOf(element);
    const fromEnd = scroller === null ? 0 : scroller.scrollHeight - scroller.scrollTop;
    isAtEnd.current = false;
    isLoading.value = true;
    try {
      await conversation.earlier();
    } catch (error) {
      say((error as Error).message, { isError: true });
    }
    isLoading.value = false;
    // The turns that were visible stay where they are.
    requestAnimationFrame(() => {
      if (scroller !== null) scroller.scrollTop = scroller.scrollHeight - fromEnd;
    });
  };
  const waiting = conversation.waiting.value;
  return (
    <div class="main-column">
      <div class="turns" ref={box} tabIndex={0} role="region" aria-label="Turns">
        {conversation.before.value !== undefined && (
          <p class="turns-earlier">
            <button type="button" class="button" disabled={isLoading.value} onClick={() => void earlier()}>
              Earlier turns
            </button>
          </p>
        )}
        {conversation.unreadable.value > 0 && (
          <p class="notice notice-error">
            {counted(conversation.unreadable.value, "turn")} cannot be read; the doctor names the reason.
          </p>
        )}
        {turns.length === 0 && <Blank title="No turns yet" />}
        {turns.map((turn) => (
          <TurnView
            key={turn.seq}
            turn={turn}
            conversation={conversation}
            arriving={arriving?.turn === turn.seq ? arriving : undefined}
          />
        ))}
        {waiting !== undefined && <Approval conversation={conversation} waiting={waiting} />}
      </div>
      {may("write") && conversation.session.value !== undefined && (
        <Composer conversation={conversation} session={conversation.session.value} />
      )}
    </div>
  );
}
