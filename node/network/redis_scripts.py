"""What a registry does inside Redis, in Lua: each script is one step that nothing interrupts.

Rule 1: a script compares and stores, it judges nothing. Who signed what is checked by readers, so a
script never has to be trusted.
Rule 2: whatever is read was maybe written by somebody else: lengths are asked before values are,
and what is too long is not read.
Rule 3: Lua's numbers hold no nanoseconds (they are doubles), so times travel as text.

The keys of one registry, after the prefix:

======================  ==========================================================================
genesis                 when the registry began, Unix nanoseconds
N:uids                  hash: public key (hex) to uid, of subnet N
N:register, N:serve,    hashes: public key (hex) to the signed record of that kind
N:weights
N:stake, N:permit       hashes: public key (hex) to what nobody signs
N:hyperparameters       JSON
N:changes               channel: one message for each write
======================  ==========================================================================
"""

from __future__ import annotations

from .record import MAX_UIDS

__all__ = ["GIANT", "LOOK", "READ", "SET_STANDING", "WRITE"]

GIANT = b"giant"
"""Stands for a stored value that is too long to be read."""

_UID_OF = """
local function uid_of(hash, key)
    if redis.call('HSTRLEN', hash, key) > 4 then return false end
    local uid = redis.call('HGET', hash, key)
    if uid and string.find(uid, '^%d+$') and uid == string.format('%d', tonumber(uid))
        and tonumber(uid) < MAX_UIDS then
        return uid
    end
    return false
end
""".replace("MAX_UIDS", str(MAX_UIDS))

_VALUE_OF = """
local function value_of(hash, key, most)
    local length = redis.call('HSTRLEN', hash, key)
    if length > most then return 'giant' end
    return redis.call('HGET', hash, key)
end
"""

# KEYS genesis, uids, records of one kind
# ARGV public key, longest record, genesis of a new registry or '', '1' to list the uids, most uids
# gives [genesis or '', uid or nil, record or nil, uids or nil], or 'crowded'
LOOK = (
    _UID_OF
    + _VALUE_OF
    + """
if ARGV[3] ~= '' then redis.call('SET', KEYS[1], ARGV[3], 'NX') end
local uids = false
if ARGV[4] == '1' then
    if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[5]) then return 'crowded' end
    uids = {}
    for _, key in ipairs(redis.call('HKEYS', KEYS[2])) do
        uids[#uids + 1] = uid_of(KEYS[2], key) or nil
    end
end
return {
    redis.call('GETRANGE', KEYS[1], 0, 31),
    uid_of(KEYS[2], ARGV[1]),
    value_of(KEYS[3], ARGV[1], tonumber(ARGV[2])),
    uids
}
"""
)

# KEYS uids, records of one kind, channel
# ARGV public key, record that is there ('' for none), new record, longest record,
#      uids to choose from ('0' where the key must have one), kind
# gives the uid, 'changed' where another record is there, 'gone' without a uid, 'full'
WRITE = (
    _UID_OF
    + _VALUE_OF
    + """
local held = value_of(KEYS[2], ARGV[1], tonumber(ARGV[4])) or ''
if held ~= ARGV[2] then return 'changed' end
local uid = uid_of(KEYS[1], ARGV[1])
if not uid then
    local most = tonumber(ARGV[5])
    if most == 0 then return 'gone' end
    if redis.call('HLEN', KEYS[1]) > 65536 then return 'full' end
    local taken = {}
    for _, other in ipairs(redis.call('HVALS', KEYS[1])) do taken[other] = true end
    local free = 0
    while free < most and taken[string.format('%d', free)] do free = free + 1 end
    if free == most then return 'full' end
    uid = string.format('%d', free)
    redis.call('HSET', KEYS[1], ARGV[1], uid)
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PUBLISH', KEYS[3], ARGV[6])
return uid
"""
)

# KEYS genesis, uids, register, serve, weights, stake, permit
# ARGV longest record, bytes of records in all, most uids
# gives [genesis or '', [public key, uid, register, serve, weights, stake, permit] for each],
#      or 'crowded'
READ = (
    _UID_OF
    + """
local left = tonumber(ARGV[2])
local function take(hash, key)
    local length = redis.call('HSTRLEN', hash, key)
    if length == 0 then return false end
    if length > tonumber(ARGV[1]) or length > left then return 'giant' end
    left = left - length
    return redis.call('HGET', hash, key)
end
local function short(hash, key)
    return redis.call('HSTRLEN', hash, key) <= 32 and redis.call('HGET', hash, key)
end
if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[3]) then return 'crowded' end
local rows = {}
for _, key in ipairs(redis.call('HKEYS', KEYS[2])) do
    local uid = #key == 64 and uid_of(KEYS[2], key)
    if uid then
        rows[#rows + 1] = {
            key, uid, take(KEYS[3], key), take(KEYS[4], key), take(KEYS[5], key),
            short(KEYS[6], key), short(KEYS[7], key)
        }
    end
end
return {redis.call('GETRANGE', KEYS[1], 0, 31), rows}
"""
)

# KEYS uids, stake, permit, channel; ARGV public key, stake or '', permit or ''
# gives 1, or 0 where the key has no uid
SET_STANDING = (
    _UID_OF
    + """
if not uid_of(KEYS[1], ARGV[1]) then return 0 end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[3]) end
redis.call('PUBLISH', KEYS[4], 'stake')
return 1
"""
)
