using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>One token for each registration that somebody wants to know the end of; cancelled at that end, and forgotten here.</summary>
internal static unsafe class GoneTokens
{
    private static readonly Lock s_lock = new();
    private static readonly Dictionary<ulong, (nint Entry, CancellationTokenSource Source)> s_tokens = [];
    private static readonly Action s_changed = Look;

    public static CancellationToken Of(ServiceEntry* entry, ulong registration)
    {
        CancellationToken token;
        lock (s_lock)
        {
            if (ServiceLook.IsGone(entry, registration))
            {
                return new CancellationToken(canceled: true);
            }

            if (!s_tokens.TryGetValue(registration, out (nint, CancellationTokenSource Source) known))
            {
                s_tokens[registration] = known = ((nint)entry, new CancellationTokenSource());
                if (s_tokens.Count == 1)
                {
                    DirectoryWatch.Add(s_changed);
                }
            }

            token = known.Source.Token;
        }

        Look();                                                  // it may have ended before the watch began
        return token;
    }

    private static void Look()
    {
        List<CancellationTokenSource> gone = [];
        lock (s_lock)
        {
            foreach ((ulong registration, (nint entry, CancellationTokenSource source)) in s_tokens)
            {
                if (ServiceLook.IsGone((ServiceEntry*)entry, registration))
                {
                    gone.Add(source);
                    s_tokens.Remove(registration);
                }
            }

            if (gone.Count > 0 && s_tokens.Count == 0)
            {
                DirectoryWatch.Remove(s_changed);
            }
        }

        foreach (CancellationTokenSource source in gone)
        {
            _ = source.CancelAsync();                            // what is registered runs on the thread pool, not here
        }
    }
}
