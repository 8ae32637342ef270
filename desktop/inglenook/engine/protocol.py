"""What travels between the app and the engine: commands in, events out, all frozen.

Over the child's pipe each is one length-prefixed MessagePack frame (`frames`); in process
the same structs are handed over directly. `run_id` is the id of the assistant message that a reply
is written into, from the first command to the last event.
"""

from typing import Final, Literal

import msgspec

from inglenook.base.rates import MachineRates

FRAME_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""A longer frame ends the connection: nothing honest is that long."""


class Frozen(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Base of all that crosses the border."""


# --- what commands are made of ---


class PromptMessage(msgspec.Struct, frozen=True):
    """One message of a prompt.

    `reasoning` is what a reply that goes on has thought so far; no other message's is told.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    reasoning: str = ""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn; the names and neutral values are those of llama.cpp.

    `temperature` None takes the model's own recommendation (general.sampling.temp in the file),
    else 0.8; 0 is greedy. `seed` None draws one at random; the drawn one is told in `Usage.seed`.
    `logit_bias` holds (token id, bias) pairs.
    """

    temperature: float | None = None
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: Literal[0, 1, 2] = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None


type KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is loaded. None means automatic.

    `n_ctx` automatic: what the model was trained for, at most 8,192 tokens. `n_gpu_layers`
    automatic: all layers where a GPU backend and device are present, fewer when they do not fit.
    `n_threads` automatic: physical cores, fewer for a very small model. Batch sizes in tokens.
    `kv_type` is how the KV memory is stored; types below f16 need flash attention. The RoPE values
    and `lora_adapters`, pairs of path and scale, are the model's own where not given.
    """

    n_ctx: int | None = None
    n_gpu_layers: int | None = None
    n_threads: int | None = None
    n_threads_batch: int | None = None
    n_batch: int = 2048
    n_ubatch: int = 512
    n_seq_max: int = 4
    use_mmap: bool = True
    use_mlock: bool = False
    flash_attention: bool | None = None
    kv_type: KvType = "f16"
    rope_scaling: Literal["none", "linear", "yarn"] | None = None
    rope_freq_base: float | None = None
    rope_freq_scale: float | None = None
    lora_adapters: tuple[tuple[str, float], ...] = ()
    keeps_idle_s: float | None = None
    """Seconds without a command after which the model is unloaded; None keeps it."""
    checks_memory: bool = True
    """Whether what will not fit into memory by an estimate is refused before it is tried."""


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply's text must obey: a GBNF grammar, or a JSON schema as JSON text; one of them."""

    grammar: str = ""
    json_schema: str = ""


# --- commands ---


class Load(Frozen, frozen=True, kw_only=True):
    """Make this the loaded model; answered by `Loaded` or `LoadFailed`.

    The one before is unloaded first.
    `path` is an absolute path. `model_id` comes back in events and means nothing to the engine.
    A Load equal to the loaded one is answered by `Loaded` at once.
    """

    model_id: str
    path: str
    options: LoadOptions = LoadOptions()
    snapshot_folder: str = ""
    """Where KV memory may be kept between starts; empty keeps none."""
    snapshot_limit_bytes: int = 0
    because: str = ""
    """Why it is placed as it is, where that is not the settings' doing: a sentence for people."""
    contest_file: str = ""
    """Where it is kept whether a weak GPU or the CPU is faster; empty measures nothing."""


class Unload(Frozen, frozen=True, kw_only=True):
    """Cancel all runs, then free the model. Answered by `Unloaded`."""


class Generate(Frozen, frozen=True, kw_only=True):
    """Write one reply with the loaded model; answered by one `Finished` or `Failed`.

    With `continue_last`, the last message is the assistant's and the reply goes on from its end.
    `max_tokens` None runs until the model stops or the context is full.
    """

    run_id: str
    messages: tuple[PromptMessage, ...]
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    continue_last: bool = False
    scope: str = ""
    """What the reply belongs to, for whoever deletes snapshots: the conversation's id."""
    constraint: Constraint | None = None
    n_alternatives: int | None = None
    """Tell each token's log-probability, with so many likelier or next likely ones; None: none."""
    thinks: bool | None = None
    """Whether a model that can do both reasons first; None leaves it to the template."""
    reasoning_budget: int | None = None
    """Tokens of reasoning after which the answer is made to begin; None sets no limit."""
    speculates: bool = True
    """Whether copies of earlier text may be guessed ahead and checked in one step; exact."""


class Cancel(Frozen, frozen=True, kw_only=True):
    """Stop a run, in mid-decode or in mid-prefill; it ends with `Finished(reason="cancelled")`."""

    run_id: str


class ReadAhead(Frozen, frozen=True, kw_only=True):
    """Read what a prompt will probably begin with, while nothing else is to be done; not answered.

    A later one takes its place; one without messages only ends it. Any reply goes first.
    """

    messages: tuple[PromptMessage, ...] = ()
    scope: str = ""
    thinks: bool | None = None
    """As in `Generate`: some templates say it at the prompt's beginning."""


class CountTokens(Frozen, frozen=True, kw_only=True):
    """Count the tokens of messages under the model's template; answered by `TokenCount`."""

    request_id: str
    messages: tuple[PromptMessage, ...]


class Embed(Frozen, frozen=True, kw_only=True):
    """Turn texts into vectors with the loaded model; answered by `Embedded` or `EmbedFailed`."""

    request_id: str
    texts: tuple[str, ...]


class Gauge(Frozen, frozen=True, kw_only=True):
    """Measure this machine with small models made in `folder`; answered by `Gauged`.

    Takes a few seconds; any other command that comes meanwhile ends it.
    """

    folder: str


class Restart(Frozen, frozen=True, kw_only=True):
    """End a host that does not get on, at once; the next command starts another.

    Replies that it was writing end as `Failed(engine_hung)`. The client sees to it: no host does.
    """


class Shutdown(Frozen, frozen=True, kw_only=True):
    """Cancel all runs, free the model, end the host."""


type Command = (
    Load | Unload | Generate | Cancel | ReadAhead | CountTokens | Embed | Gauge | Restart | Shutdown
)


# --- events ---


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A compute device as the library reports it; memory in bytes, 0 where unknown."""

    name: str
    description: str
    kind: Literal["cpu", "gpu", "igpu", "accelerator"]
    memory_total_bytes: int = 0
    memory_free_bytes: int = 0


class EngineReady(Frozen, frozen=True, kw_only=True):
    """The host is up and the library is mapped."""

    pid: int
    library_version: str
    backend: str
    """Names of the registered backends, for example "CPU" or "CPU, Vulkan"."""
    devices: tuple[Device, ...]
    system_info: str
    """What the library says about the processor features that it uses."""


class Loading(Frozen, frozen=True, kw_only=True):
    """Progress of a load, 0.0 to 1.0."""

    model_id: str
    fraction: float


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a prompt is read and a reply written, in tokens per second."""

    read_tps: float
    write_tps: float


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """What a weak GPU and the CPU were measured at with one model, and so where it runs."""

    device: str
    gpu: Speed
    cpu: Speed


class Loaded(Frozen, frozen=True, kw_only=True):
    """The model is ready. All facts are read from the library or the file, none is guessed."""

    model_id: str
    path: str
    description: str
    architecture: str
    quantisation: str
    n_params: int
    size_bytes: int
    n_ctx: int
    n_ctx_train: int
    n_layers: int
    n_layers_gpu: int
    """Layers on a GPU by the library's own report; n_layers + 1 with the output layer."""
    device: str
    """Where it runs, for people: "CPU" or "GPU 36/36"."""
    kv_bytes: int
    n_threads: int
    n_batch: int
    load_s: float
    template_note: str = ""
    """A sentence when the file's chat template could not be used and a plain one stands in."""
    placement_note: str = ""
    """A sentence when less went to the GPU than was asked for, or memory was saved elsewhere."""
    n_ubatch: int = 0
    kv_type: KvType = "f16"
    flash_attention: bool = False
    adapters: tuple[str, ...] = ()
    """File names of the LoRA adapters that are applied."""
    reasoning: Literal["none", "always", "switchable"] = "none"
    """Whether its template knows reasoning before the answer, and can turn it off."""
    reasons_unasked: bool = False
    """Whether it reasons where nobody says that it shall, or shall not."""
    contest: Contest | None = None
    """What decided between a weak GPU and the CPU, where that had to be measured."""
    writes: bool = True
    """Whether it writes replies; False for one that only makes vectors of texts."""


class LoadFailed(Frozen, frozen=True, kw_only=True):
    """The model could not be loaded: `code` for programs, `message` and `hint` for people.

    With `load_crashed` native code ended the host in the middle of the load. With `out_of_memory`,
    `fitting_n_ctx` is a context that would fit (0: none is known), and `fits_cpu` tells whether
    it can be tried without the GPU.
    """

    model_id: str
    code: str
    message: str
    hint: str = ""
    fitting_n_ctx: int = 0
    fits_cpu: bool = False


class Unloaded(Frozen, frozen=True, kw_only=True):
    """No model is loaded now. `asleep_id` is the model that was put away for being idle."""

    asleep_id: str = ""


type Part = Literal["answer", "reasoning"]
"""What a piece of text belongs to, by the marks that the model's template defines."""


class Prefill(Frozen, frozen=True, kw_only=True):
    """Prompt reading: `n_done` of `n_prompt` tokens, of which `n_cached` were reused."""

    run_id: str
    n_done: int
    n_prompt: int
    n_cached: int


class TokenChance(msgspec.Struct, frozen=True):
    """One token that was, or could have been, drawn: its bytes and its natural log-probability.

    By the model's own distribution, before any sampler.
    """

    token: int
    piece: bytes
    log_probability: float


class DrawnToken(msgspec.Struct, frozen=True):
    """A token of the reply with the likeliest others at its place, likeliest first."""

    chosen: TokenChance
    alternatives: tuple[TokenChance, ...] = ()


class Text(Frozen, frozen=True, kw_only=True):
    """A piece of the reply, valid text; `n_tokens` output tokens so far, with this piece's.

    `tokens` is filled where `Generate.n_alternatives` asked for it: all that were drawn since the
    last piece.
    """

    run_id: str
    piece: str
    n_tokens: int
    part: Part = "answer"
    tokens: tuple[DrawnToken, ...] = ()


class Meter(Frozen, frozen=True, kw_only=True):
    """Live numbers, about five times a second. Rates in tokens per second, times in seconds."""

    run_id: str
    n_tokens: int
    decode_tps_now: float
    """Over the last second."""
    decode_tps_mean: float
    ttft_s: float
    n_context: int
    """Tokens of the context in use by this reply (prompt and output)."""
    n_ctx: int
    n_threads: int = 0
    """Processor threads of the last step; they are re-chosen while a reply runs."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply took, in tokens. `prompt_tokens` includes `cached_tokens`.

    `output_tokens` includes `reasoning_tokens`, and `drafted_tokens` were guessed ahead, of which
    `accepted_tokens` came to be drawn.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    n_ctx: int = 0
    seed: int = 0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in seconds, and the rates, in tokens per second.

    `queue_s` from the command's arrival to the first step; `load_s` the wait for a model load;
    `ttft_s` from arrival to the first token's text; rates are 0.0 where nothing was measured.
    `prefill_tps` counts only tokens that were read, not reused ones.
    """

    queue_s: float = 0.0
    load_s: float = 0.0
    prefill_s: float = 0.0
    reasoning_s: float = 0.0
    decode_s: float = 0.0
    ttft_s: float = 0.0
    total_s: float = 0.0
    prefill_tps: float = 0.0
    decode_tps: float = 0.0


type FinishReason = Literal["stop", "length", "context_full", "cancelled"]
"""The model ended or a stop string came; max_tokens reached; no room left; stopped by a person."""


class Finished(Frozen, frozen=True, kw_only=True):
    """A reply ended in order. All its text was sent before this event."""

    run_id: str
    model_id: str
    reason: FinishReason
    usage: Usage
    timings: Timings


class Failed(Frozen, frozen=True, kw_only=True):
    """A reply ended by a fault; the text that came before it stands.

    Codes: engine_died, engine_hung, gpu_out_of_memory, gpu_lost, no_model, load_failed,
    not_generative, prompt_too_long, bad_request, template_failed, decode_failed, queue_full,
    model_changed, internal.
    """

    run_id: str
    code: str
    message: str
    hint: str = ""
    usage: Usage = Usage()
    timings: Timings = Timings()


class TokenCount(Frozen, frozen=True, kw_only=True):
    """The answer to `CountTokens`; `n_tokens` is -1 when no model is loaded."""

    request_id: str
    n_tokens: int
    n_ctx: int


class Embedded(Frozen, frozen=True, kw_only=True):
    """The answer to `Embed`: one vector of unit length per text, F32 little-endian, n_embd each."""

    request_id: str
    model_id: str
    vectors: tuple[bytes, ...]
    n_tokens: int


class EmbedFailed(Frozen, frozen=True, kw_only=True):
    """The texts could not be turned into vectors; codes as in `Failed`."""

    request_id: str
    code: str
    message: str
    hint: str = ""


class Gauged(Frozen, frozen=True, kw_only=True):
    """What this machine was measured at; None where it could not be, and `message` says why."""

    rates: MachineRates | None = None
    message: str = ""


class EngineDied(Frozen, frozen=True, kw_only=True):
    """The child ended by itself; `cause` says why in words. The next command starts a new one.

    `broke_on` is the model that native code gave up on while it wrote a reply.
    """

    cause: str
    exit_status: int
    broke_on: str = ""


class Stuck(Frozen, frozen=True, kw_only=True):
    """The child shows no sign of work while these replies, or a load, wait for it.

    `silent_s` is how long; 0.0 takes an earlier word back. Without an answer it is ended later.
    """

    run_ids: tuple[str, ...]
    silent_s: float


# --- what only the host and the client exchange ---


class Heartbeat(Frozen, frozen=True, kw_only=True):
    """The host is at work: it computed or read since the last one; also the echo of a `Cancel`."""


class LogLine(Frozen, frozen=True, kw_only=True):
    """A line for the app's log, at a level of the `logging` module; never holds chat text."""

    level: int
    name: str
    text: str


type Event = (
    EngineReady
    | Loading
    | Loaded
    | LoadFailed
    | Unloaded
    | Prefill
    | Text
    | Meter
    | Finished
    | Failed
    | TokenCount
    | Embedded
    | EmbedFailed
    | Gauged
    | EngineDied
    | Stuck
)


type HostMessage = Event | Heartbeat | LogLine
