"""Presets of the `records` reader by name: well-known logs, exports and traces as mappings.

What a format can't tell is null: Bedrock, Azure and ComfyUI state no cost, Ollama no user, a bucket of OpenAI's usage
no single request.
"""

from typing import Any

from usage_assets.kinds.service.raw.preset import Preset
from usage_assets.kinds.service.raw.preset_shapes import (
    apim_reason,
    apim_tokens,
    bedrock_outcome,
    comfyui_lines,
    langfuse_tokens,
    open_webui_outcome,
    openai_id,
    openai_lines,
    openai_reason,
)
from usage_assets.kinds.service.site.mapping import Mapping


def _mapping(**fields: Any) -> Mapping:
    return Mapping.model_validate(fields)


def _const(text: str) -> dict[str, str]:
    return {"value": text}


def _time(*names: str, unit: str | None = None, zone: str | None = "UTC") -> dict[str, Any]:
    return {"from": names} | ({"unit": unit} if unit else {"zone": zone} if zone else {})


LANGFUSE = Preset(
    mapping=_mapping(
        event_id="id",
        ts=_time("start_time"),
        ended=_time("end_time"),
        first_output=_time("completion_start_time"),
        user_id="user_id",
        session_id="session_id",
        model_id=["provided_model_name", "model"],
        event_type={
            "from": "level",
            "values": {"ERROR": "failed", "DEFAULT": "complete", "DEBUG": "complete", "WARNING": "complete"},
            "default": "complete",
        },
        error="status_message",
        cost="total_cost",
        currency=_const("USD"),
    ),
    filter={"type": ("GENERATION", "EMBEDDING")},
    expressions=langfuse_tokens,
    event_time="start",
)
"""Observations of an export: model calls; agents repeat the sums of theirs. A later export of an id corrects it."""

OPEN_WEBUI = Preset(
    mapping=_mapping(
        event_id="id",
        ts=_time("created_at", unit="auto"),
        user_id="user_id",
        session_id="chat_id",
        model_id="model_id",
        input_tokens=["usage.input_tokens", "usage.prompt_tokens", "usage.prompt_eval_count", "usage.prompt_n"],
        output_tokens=["usage.output_tokens", "usage.completion_tokens", "usage.eval_count", "usage.predicted_n"],
        cached_tokens=["usage.input_tokens_details.cached_tokens", "usage.prompt_tokens_details.cached_tokens"],
        duration_s={"from": "usage.total_duration", "unit": "ns"},
        error=["error.type", "error.content", "error.message", "error.detail", "error"],
    ),
    filter={"role": ("assistant",)},
    expressions=open_webui_outcome,
    table="chat_message",
    event_time="start",
)
"""Answers in chats. The only duration is a back end's own total: updated_at is the time of an edit."""

BEDROCK = Preset(
    mapping=_mapping(
        event_id="requestId",
        request_id="requestId",
        ts=_time("timestamp"),
        user_id="identity.arn",
        model_id="modelId",
        provider=_const("bedrock"),
        input_tokens="input.inputTokenCount",
        cached_tokens="input.cacheReadInputTokenCount",
        output_tokens="output.outputTokenCount",
        duration_s={"from": "output.outputBodyJson.metrics.latencyMs", "unit": "ms"},
        error="errorCode",
        meters={"cache_write_input_tokens": "input.cacheWriteInputTokenCount"},
    ),
    filter={"schemaType": ("ModelInvocationLog",)},
    expressions=bedrock_outcome,
)
"""Invocation logs of Bedrock: one instant, and a duration of Converse only."""

AZURE_APIM = Preset(
    mapping=_mapping(
        event_id=["CorrelationId", "RequestId"],
        request_id=["CorrelationId", "RequestId"],
        ts=_time("TimeGenerated"),
        user_id="ApimSubscriptionId",
        model_id=["ModelName", "DeploymentName"],
        provider=_const("azure"),
        event_type={
            "from": "IsRequestSuccess",
            "values": {"true": "complete", "True": "complete", "false": "failed", "False": "failed"},
            "default": "complete",
        },
        duration_s={"from": "TotalTime", "unit": "ms"},
    ),
    expressions=apim_tokens,
    reason=apim_reason,
    event_time="start",
)
"""ApiManagementGatewayLlmLog, with columns of ApiManagementGatewayLogs where they were joined; a request that was split
into several rows is its first one, with the tokens of whichever row has them."""

OPENAI_USAGE = Preset(
    mapping=_mapping(
        ts=_time("start_time", unit="s"),
        user_id="user_id",
        team_id="project_id",
        model_id="model",
        provider=_const("openai"),
        event_type=_const("complete"),
        requests="num_model_requests",
        input_tokens="input_tokens",
        cached_tokens="input_cached_tokens",
        output_tokens="output_tokens",
        meters={
            "input_audio_tokens": "input_audio_tokens",
            "output_audio_tokens": "output_audio_tokens",
            "images": "images",
            "characters": "characters",
            "seconds": "seconds",
        },
    ),
    lines=openai_lines,
    expressions=openai_id,
    reason=openai_reason,
    event_time="start",
)
"""Answers of OpenAI's usage API: pre-summed rows of a bucket. Never beside a gateway's rows of the same calls."""

COMFYUI = Preset(
    mapping=_mapping(
        event_id="id",
        request_id="id",
        ts=_time("started", unit="ms"),
        ended=_time("ended", unit="ms"),
        session_id="client_id",
        model_id="model",
        event_type="outcome",
        error="error",
        meters={"images": "images"},
    ),
    lines=comfyui_lines,
    event_time="start",
)
"""Dumps of ComfyUI's history: a prompt is a request, its checkpoint the model."""

OLLAMA = Preset(
    mapping=_mapping(
        ts=_time("created_at"),
        model_id="model",
        provider=_const("ollama"),
        event_type=_const("complete"),
        input_tokens="prompt_eval_count",
        output_tokens="eval_count",
        duration_s={"from": "total_duration", "unit": "ns"},
    ),
    filter={"done": ("true",)},
    event_time="end",
)
"""Final chunks of Ollama's answers: created_at is when it had answered."""

ALIBABA_LORA = Preset(
    mapping=_mapping(
        ts=_time("gmt_create", zone=None),
        model_id="checkpoint_model_version_id",
        event_type={
            "from": "predict_status",
            "values": {"SUCCEED": "complete", "FAILED": "failed", "PENDING": "request", "PROCESSING": "request"},
        },
        duration_s="exec_time_seconds",
    ),
    event_time="start",
)
"""Alibaba's trace of image requests; its times have no zone."""

AZURE_2023 = Preset(
    mapping=_mapping(
        ts=_time("TIMESTAMP", zone=None),
        event_type=_const("complete"),
        input_tokens="ContextTokens",
        output_tokens="GeneratedTokens",
    ),
    event_time="start",
)
"""Azure's traces of 2023; their times have no zone."""

MOONCAKE = Preset(
    mapping=_mapping(
        ts=_time("timestamp", unit="ms"),
        event_type=_const("complete"),
        input_tokens="input_length",
        output_tokens="output_length",
    ),
    event_time="start",
)
"""Mooncake's traces: milliseconds since an origin, which a site's file names: `ts: {from, unit, origin}`."""

PRESETS: dict[str, Preset] = {
    "langfuse": LANGFUSE,
    "open_webui": OPEN_WEBUI,
    "bedrock": BEDROCK,
    "azure_apim": AZURE_APIM,
    "openai_usage": OPENAI_USAGE,
    "comfyui": COMFYUI,
    "ollama": OLLAMA,
    "alibaba_lora": ALIBABA_LORA,
    "azure_2023": AZURE_2023,
    "mooncake": MOONCAKE,
}
"""Presets of the `records` reader by name."""
