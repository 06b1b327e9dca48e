ALTER TYPE "bulk_verb" ADD VALUE 'replay';
