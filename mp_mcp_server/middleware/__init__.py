"""What surrounds every call, outermost first: audit, timing, failures as answers, the cache, the wait for the budget.

A cached answer spends nothing, so that the cache stands before the wait.
"""

from mp_mcp_server.middleware.audit import AuditConfig, AuditMiddleware, create_audit_middleware
from mp_mcp_server.middleware.caching import (
    CACHEABLE_DISCOVERY_TOOLS,
    DEFAULT_DISCOVERY_TTL,
    CachingMiddleware,
    create_caching_middleware,
)
from mp_mcp_server.middleware.failures import AnswerFailures
from mp_mcp_server.middleware.rate_limiting import (
    MixpanelRateLimitMiddleware,
    RateLimitConfig,
    create_export_rate_limiter,
    create_query_rate_limiter,
    rate_limits,
)

__all__ = [
    "CACHEABLE_DISCOVERY_TOOLS",
    "DEFAULT_DISCOVERY_TTL",
    "AnswerFailures",
    "AuditConfig",
    "AuditMiddleware",
    "CachingMiddleware",
    "MixpanelRateLimitMiddleware",
    "RateLimitConfig",
    "create_audit_middleware",
    "create_caching_middleware",
    "create_export_rate_limiter",
    "create_query_rate_limiter",
    "rate_limits",
]
